"""This file knows how an outcome is judged whose bridge need not have rouse's own form: by what its adapter claims."""

import re

from harness.judgement import CONDUCT, REPLY, Judgement

from . import capabilities

# A page of the bridge's own, of whatever form: an answer of CGI (RFC 3875, 6.2) that says that something failed.
PAGE = re.compile(rb"Status: (?P<status>[45]\d\d)(?: [^\r\n]*)?\r?\n(?:[A-Za-z0-9-]+:[^\r\n]*\r?\n)*\r?\n(?P<body>.*)", re.S)
FIELD = re.compile(rb"^Content-Type: *\S", re.I | re.M)


class ByClaims(Judgement):
    """One outcome of somebody else's bridge."""

    def _claims(self, capability):
        return capability in self.run.adapter.claims

    def _judge_exit(self, wanted):
        if self._claims("exit-status"):
            super()._judge_exit(wanted)
            return
        status = self.outcome.status
        self.demand(status in wanted, f"the exit status is {status}, not {'0' if wanted == [0] else 'one that says that something failed'}", CONDUCT)

    def judge_outcome(self):
        """A right answer with the wrong end is a matter of conduct, not of the reply."""
        wanted, expected = self.expect.get("outcome"), self.expect["cgi"].get("stdout")
        if wanted is None:
            return
        found = self.name_outcome()
        right = "served" in wanted and expected is not None and self.outcome.stdout == self.resolve(expected)
        self.demand(found in wanted, f"the outcome is {found}, not {' or '.join(wanted)}", CONDUCT if right else REPLY)

    def _says_nothing_came(self, status):
        return super()._says_nothing_came(status) if self._claims("exit-status") else status != 0

    def _says_it_was_cut(self, status):
        return super()._says_it_was_cut(status) if self._claims("exit-status") else status != 0

    def _page(self):
        if self._claims("page-form"):
            return super()._page()
        page = PAGE.fullmatch(self.outcome.stdout)
        if not page or self._came_from_the_server():
            return None
        head = b"REQUEST_METHOD=HEAD" in [entry.resolve(self.run.variables) for entry in self.case["cgi"]["env"]]
        self.demand(FIELD.search(self.outcome.stdout[:page.start("body")]), "a page has a Content-Type")
        self.demand(not head or not page["body"], "the answer to HEAD has no body")
        return page

    def _came_from_the_server(self):
        """Whether it is what the server sent: an error of the server's is no page of the bridge."""
        if self.run.launches:  # its server sends only what is right
            return b"Status: 200 OK" in self.outcome.stdout[:14]
        sent = b"".join(self.resolve(step["send"]) for one in self.case["server"]["conn"] for step in one["do"] if "send" in step)
        return bool(sent) and self.outcome.stdout in sent

    def _judge_request(self, connection, expect):
        parser = connection.parser
        stripped = [is_one for name, is_one in capabilities.STRIPPED.items() if name in self.run.unjudged]
        hidden = {name.encode() for name in self.run.adapter.hidden}
        if parser.headers is not None and (stripped or hidden):
            parser.headers = [(name, value) for name, value in parser.headers
                              if name not in hidden and not any(is_one(name) for is_one in stripped)]
        super()._judge_request(connection, expect)

    def judge_log(self, more=b""):
        if self._claims("log"):
            super().judge_log(more)
