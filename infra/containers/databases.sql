-- The image of PostgreSQL makes one database, that of Prefect; this is the other.
CREATE DATABASE mlflow;
