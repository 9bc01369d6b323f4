"""The settings of servers whose tests are not about the limits of requests a minute."""

UNLIMITED = {"RETOUCH_REQUESTS_PER_MINUTE": "0", "RETOUCH_STATUS_REQUESTS_PER_MINUTE": "0"}
