#include "ctl/condition.h"
#include "ctl/json.h"
#include "deadline.h"

namespace rouse {

namespace {

constexpr size_t lines_shown = 10;    // of what a launch printed before it failed
constexpr size_t longest_shown = 400; // bytes of one of them

void add_duration(int64_t seconds, Text& out) {
    auto rest = static_cast<uint64_t>(seconds);
    constexpr struct {
        uint64_t seconds;
        const char* name;
    } units[] = {{86400, " d "}, {3600, " h "}, {60, " min "}};
    for (const auto& unit : units)
        if (rest >= unit.seconds) {
            out.add_number(rest / unit.seconds).add(unit.name);
            rest %= unit.seconds;
        }
    out.add_number(rest).add(" s");
}

// A tenth of a second is what a person can use.
void add_tenths(int64_t milliseconds, Text& out) {
    uint64_t tenths = static_cast<uint64_t>(milliseconds < 0 ? 0 : milliseconds) / 100;
    out.add_number(tenths / 10).add('.').add_number(tenths % 10).add(" s");
}

void add_headline(const Site& site, const Condition& condition, Text& out) {
    using State = Condition::State;
    out.add(condition.name());
    switch (condition.state) {
    case State::Up:
        if (condition.hangs)
            out.add(", but it hangs: the next request replaces it");
        else if (!condition.is_ours && site.settings.start_count > 0)
            out.add(", but rouse did not start it");
        break;
    case State::Foreign:
        out.add(": the server is of ");
        add_user(condition.listening.uid, out);
        out.add(", and rouse sends it nothing. Choose another `socket`, or set `peer-uid`.");
        break;
    case State::Starting:
        if (condition.ledger.outcome != Ledger::Outcome::Starting) {
            out.add(condition.process_count > 0 ? ": what ran before is being stopped"
                                                : ": a launch is about to begin");
            break;
        }
        out.add(": launch ").add_number(static_cast<uint64_t>(condition.ledger.number)).add(", for ");
        add_tenths(boot_now() - condition.ledger.started, out);
        break;
    case State::BackingOff:
        out.add(": the next launch may begin in ");
        add_tenths(condition.retry_after + 99, out);
        break;
    case State::Stopped:
        out.add(" by its owner: `rousectl start` brings it back");
        break;
    case State::Down:
        if (site.settings.start_count > 0)
            out.add(": the next request starts it");
        break;
    case State::Unknown:
        out.add(": ");
        say(condition.error, condition.error.subject, out);
        break;
    }
    out.add('\n');
}

// What a script or a server printed may steer a terminal: no control character goes there.
void add_shown(std::string_view line, Text& out) {
    for (char one : part(line, 0, longest_shown))
        if (static_cast<unsigned char>(one) < 0x20 || one == 0x7f)
            out.add("\\x").add_hex(static_cast<unsigned char>(one), 2);
        else
            out.add(one);
}

void add_failure(const Failure& failure, Text& out) {
    if (failure.when.empty())
        return;
    out.add("last failure  launch ").add(failure.launch).add(" at ").add(failure.when).add(": ");
    add_in_words(failure.sentence, out);
    out.add('\n');
    std::string_view rest = last_printed(failure.printed, lines_shown), line;
    while (take_line(rest, line))
        if (!is_event(line)) {
            add_shown(line, out.add("              | "));
            out.add('\n');
        }
}

void add_number_or_null(bool is_known, int64_t number, Text& out) {
    if (is_known)
        out.add_number(static_cast<uint64_t>(number));
    else
        out.add("null");
}

} // namespace

void describe(const Site& site, const Condition& condition, Text& out) {
    add_headline(site, condition, out);
    out.add("app           ").add(site.settings.app).add("\nsocket        ").add(site.settings.socket.text).add('\n');
    if (condition.process_count > 0) {
        out.add("processes    ");
        for (size_t index = 0; index < condition.process_count; ++index)
            out.add(' ').add_number(static_cast<uint64_t>(condition.processes[index]));
        out.add("\nuptime        ");
        add_duration(condition.uptime, out);
        out.add('\n');
    }
    out.add("launches      ").add_number(static_cast<uint64_t>(condition.ledger.number)).add('\n');
    add_failure(condition.failure, out);
}

void describe_in_json(const Site& site, const Condition& condition, Text& out) {
    using State = Condition::State;
    out.add("{\"state\": ");
    add_json(condition.name(), out);
    out.add(", \"exit\": ").add_number(static_cast<uint64_t>(condition.exit()));
    out.add(", \"app\": ");
    add_json(site.settings.app, out);
    out.add(", \"socket\": ");
    add_json(site.settings.socket.text, out);
    out.add(", \"started_by_rouse\": ").add(condition.is_ours ? "true" : "false");
    out.add(", \"hangs\": ").add(condition.hangs ? "true" : "false");
    out.add(", \"processes\": [");
    for (size_t index = 0; index < condition.process_count; ++index)
        out.add(index == 0 ? "" : ", ").add_number(static_cast<uint64_t>(condition.processes[index]));
    out.add("], \"uptime\": ");
    add_number_or_null(condition.process_count > 0, condition.uptime, out);
    out.add(", \"launches\": ").add_number(static_cast<uint64_t>(condition.ledger.number));
    out.add(", \"retry_after\": ");
    add_number_or_null(condition.state == State::BackingOff, (condition.retry_after + 999) / 1000, out);
    out.add(", \"last_failure\": ");
    const Failure& failure = condition.failure;
    if (failure.when.empty()) {
        out.add("null");
    } else {
        static char words_bytes[512];
        Text words(words_bytes);
        add_in_words(failure.sentence, words);
        uint64_t launch = 0;
        bool is_number = parse_decimal(failure.launch, launch); // a server may print what looks like an event
        out.add("{\"launch\": ");
        add_number_or_null(is_number, static_cast<int64_t>(launch), out);
        out.add(", \"when\": ");
        add_json(failure.when, out);
        out.add(", \"reason\": ");
        add_json(words.view(), out);
        out.add(", \"printed\": [");
        std::string_view rest = last_printed(failure.printed, lines_shown), line;
        const char* before = "";
        while (take_line(rest, line))
            if (!is_event(line)) {
                out.add(before);
                add_json(part(line, 0, longest_shown), out);
                before = ", ";
            }
        out.add("]}");
    }
    out.add("}\n");
}

} // namespace rouse
