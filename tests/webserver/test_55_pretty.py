"""Pretty URLs: an .htaccess hides the app file, files that exist are Apache's own, and `script-name` tells the server so."""

import pytest

from web.servers import APACHE

HTACCESS = """RewriteEngine On
RewriteBase {place}/
RewriteCond %{{REQUEST_FILENAME}} !-f
RewriteRule ^(.*)$ app.cgi/$1 [L]
"""
SHOW = "show=SCRIPT_NAME,PATH_INFO,REQUEST_URI"
pytestmark = pytest.mark.only(*APACHE)


def hidden(make_site, script_name):
    site = make_site(script_name=script_name)
    site.write(".htaccess", HTACCESS.format(place=site.place))
    site.write("logo.txt", "a file\n")
    return site


def seen(answer):
    assert answer.status == 200, answer
    return answer.body.decode().splitlines()


@pytest.mark.promises("F2", "L1")
def test_55_01_the_app_file_is_hidden(webserver, make_site):
    """The server builds its links from SCRIPT_NAME: without the setting they would name app.cgi."""
    site = hidden(make_site, None)
    path = f"{site.place}/hello/wor%20ld?{SHOW}"
    assert seen(webserver.request("GET", path)) == [f"SCRIPT_NAME={site.target}", "PATH_INFO=/hello/wor ld", f"REQUEST_URI={path}"]
    site.write("app.cgi", f"#!{webserver.inside.binary.value()} -\nsocket = s\nscript-name = {site.place}\n", 0o755)
    assert seen(webserver.request("GET", path)) == [f"SCRIPT_NAME={site.place}", "PATH_INFO=/hello/wor ld", f"REQUEST_URI={path}"]
    path = f"{site.place}/?{SHOW}"
    assert seen(webserver.request("GET", path)) == [f"SCRIPT_NAME={site.place}", "PATH_INFO=/", f"REQUEST_URI={path}"]


@pytest.mark.promises("F2")
def test_55_02_an_empty_script_name_is_the_root(webserver, make_site):
    """With an empty script-name the application should be at the root, with the whole path in PATH_INFO."""
    site = hidden(make_site, "")
    path = f"{site.place}/hello?{SHOW}"
    assert seen(webserver.request("GET", path)) == ["SCRIPT_NAME=", "PATH_INFO=/hello", f"REQUEST_URI={path}"]


@pytest.mark.promises("L7")
def test_55_03_files_are_served_by_apache_itself(webserver, make_site):
    """The server is not even started for them."""
    site = hidden(make_site, "/")
    answer = webserver.request("GET", f"{site.place}/logo.txt")
    assert answer.status == 200 and answer.body == b"a file\n" and site.starts() == []


@pytest.mark.promises("X1", "X3")
def test_55_04_the_run_directory_is_shown_to_nobody(webserver, make_site):
    """Where a socket without a folder puts it: beside the app file, in sight of the web server."""
    site = hidden(make_site, "/")
    assert site.get().status == 200
    for name in ("", "/", "/.htaccess"):
        assert webserver.request("GET", f"{site.place}/s.run{name}").status in (403, 404)
