"""The variables of AWS's tools are tidied before the client of the store reads them."""

from models.variables import tidy_credentials


def test_credentials_are_stripped_and_empty_ones_removed() -> None:
    variables = {
        "AWS_ACCESS_KEY_ID": " AK\r",
        "AWS_SECRET_ACCESS_KEY": "secret\n",
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": " \r",
        "OTHER": " kept ",
    }
    tidy_credentials(variables)
    assert variables == {
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "OTHER": " kept ",
    }
