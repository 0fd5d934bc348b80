"""A block of Prefect for e-mail and every other service that Apprise knows; Prefect has none for SMTP.

Prefect's server sends a notification by the block's class, so this module is imported in the server of a home
(`infra.operation.prefect_server`). A server of your own needs the same import.
"""

from typing import Annotated

from prefect.blocks.notifications import AbstractAppriseNotificationBlock
from pydantic import Field, HttpUrl, SecretStr


class AppriseAddress(AbstractAppriseNotificationBlock):
    """Sends notifications to an address of Apprise, such as an e-mail by SMTP."""

    _block_type_name = "Apprise (e-mail and others)"
    _block_type_slug = "maft-apprise"
    _documentation_url = HttpUrl("https://appriseit.com/services/")
    _logo_url = HttpUrl("https://raw.githubusercontent.com/caronc/apprise/master/packaging/redhat/apprise.png")

    url: Annotated[
        SecretStr,
        Field(
            title="Address",
            description="mailtos://USER:PASSWORD@example.com?smtp=smtp.example.com&to=me@example.com&format=text is "
            "an e-mail by SMTP with TLS, mailto:// one without; appriseit.com/services lists the others.",
        ),
    ]
