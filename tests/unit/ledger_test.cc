#include "fd.h"
#include "fingerprint.h"
#include "ledger.h"
#include "world.h"

using namespace rouse;
using Outcome = Ledger::Outcome;

namespace {

constexpr uint64_t boot = 345678;
constexpr size_t record_size = 224; // bytes, down to `answered`

Ledger sample() {
    Ledger ledger;
    ledger.outcome = Outcome::Ready;
    ledger.number = 12;
    ledger.started = 1000;
    ledger.changed = 2000;
    ledger.guardian = 345;
    ledger.guardian_start = 678;
    ledger.failures = 1;
    ledger.killed = 2;
    ledger.early = 1;
    ledger.fingerprint = UINT64_MAX;
    ledger.boot = boot;
    ledger.socket = 789;
    set_reason(ledger, "it \"said\"\n\xff so");
    return ledger;
}

// As a file.
std::string rendered(Ledger ledger) {
    ledger.sum = sum_of(ledger);
    return std::string(reinterpret_cast<const char*>(&ledger), record_size);
}

bool equal(const Ledger& one, const Ledger& other) {
    return rendered(one) == rendered(other) && one.answered == other.answered;
}

int open_folder() {
    return sys::open(AT_FDCWD, "/home/me", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// What is read from a file of these bytes.
Ledger read_back(const std::string& bytes) {
    fake::put("/home/me/ledger", bytes);
    Fd folder(open_folder());
    Ledger ledger = sample();
    ledger.number = 99;
    read_ledger(folder.number(), ledger);
    return ledger;
}

} // namespace

TEST_CASE("a ledger is read as it was written") {
    World world;
    Fd folder(open_folder());
    for (Outcome outcome :
         {Outcome::None, Outcome::Starting, Outcome::Ready, Outcome::Failed, Outcome::Killed, Outcome::Stopped}) {
        Ledger ledger = sample(), read;
        ledger.outcome = outcome;
        CHECK(write_ledger(folder.number(), ledger) == 0);
        CHECK(fake::content("/home/me/ledger") == rendered(ledger));
        read_ledger(folder.number(), read);
        CHECK(read.outcome == outcome);
        CHECK(read.number == 12);
        CHECK(read.started == 1000);
        CHECK(read.changed == 2000);
        CHECK(read.guardian == 345);
        CHECK(read.guardian_start == 678);
        CHECK(read.failures == 1);
        CHECK(read.killed == 2);
        CHECK(read.early == 1);
        CHECK(read.fingerprint == UINT64_MAX);
        CHECK(read.boot == boot);
        CHECK(read.socket == 789);
        CHECK(std::string(read.reason) == "it \"said\"?"
                                          "? so");
        CHECK(read.is_failure() == (outcome == Outcome::Failed));
    }
}

TEST_CASE("a reason is cut to what fits") {
    Ledger ledger;
    set_reason(ledger, std::string(1000, 'r'));
    CHECK(std::string(ledger.reason) == std::string(sizeof ledger.reason - 1, 'r'));
    set_reason(ledger, "short");
    CHECK(std::string(ledger.reason) == "short");
}

TEST_CASE("whatever was changed in a ledger, it is empty or as it was [B3][X4]") {
    World world;
    std::string text = rendered(sample());
    for (size_t at = 0; at < text.size(); at++) {
        for (char one : {'\0', ' ', '\n', '0', '9', 'x', '\xff'}) {
            if (text[at] == one)
                continue;
            std::string changed = text;
            changed[at] = one;
            Ledger read = read_back(changed);
            CHECK(read.number == 0);
            CHECK(read.outcome == Outcome::None);
        }
        CHECK(read_back(text.substr(0, at)).number == 0);
    }
    CHECK(read_back(std::string(300, '\0')).boot == 0);
    Dice dice(9);
    for (int round = 0; round < 2000; round++) {
        std::string noise;
        for (size_t left = dice.below(700); left > 0; left--)
            noise += dice.byte();
        CHECK(equal(read_back(noise), Ledger()));
    }
}

TEST_CASE("another format is an empty ledger [B3]") {
    World world;
    Ledger ledger = sample();
    std::string text = rendered(ledger);
    REQUIRE(read_back(text).number == 12);
    // Its checksum is right, but begins elsewhere: as a later version would write it.
    for (uint64_t format : {0, 1, 3}) {
        ledger.sum = see(text.data() + sizeof ledger.sum, record_size - sizeof ledger.sum, format);
        memcpy(text.data(), &ledger.sum, sizeof ledger.sum);
        CHECK(read_back(text).number == 0);
    }
    // What an earlier one wrote.
    CHECK(read_back("rouse-ledger-1 ready " + std::string(502, '1')).number == 0);
}

TEST_CASE("the ledger is a file with two records, each written in place with one write") {
    World world;
    {
        Fd folder(open_folder());
        Ledger ledger = sample(), read;
        read_ledger(folder.number(), read);
        CHECK(read.number == 0);
        CHECK(write_ledger(folder.number(), ledger) == 0);
        CHECK(fake::count("pwrite") == 1);
        read_ledger(folder.number(), read);
        CHECK(equal(read, ledger));

        CHECK(write_answered(folder.number(), 11) == 0); // of an older launch: ignored
        read_ledger(folder.number(), read);
        CHECK(read.answered == 0);
        CHECK(write_answered(folder.number(), 12) == 0);
        read_ledger(folder.number(), read);
        CHECK(read.answered == 12);
        CHECK(fake::count("pwrite") == 3);
        CHECK(fake::content("/home/me/ledger").size() == record_size + 8);
        CHECK(fake::find("/home/me/ledger")->mode == 0600);

        ledger.number = 13;
        CHECK(write_ledger(folder.number(), ledger) == 0);
        read_ledger(folder.number(), read);
        CHECK(read.number == 13);
        CHECK(read.answered == 0);
    }
    world.check_nothing_leaked();
}

TEST_CASE("each boot has a number; without /proc all have the same [B3]") {
    {
        World world;
        CHECK(this_boot() == see("01234567-89ab-cdef-0123-456789abcdef\n", 37)); // the fake's
    }
    World world;
    fake::fail("open", -ENOENT);
    CHECK(this_boot() == see("", 0));
}

TEST_CASE("a ledger that cannot be read is empty, and one that cannot be written says why [B3][C1]") {
    fail_each({"open", "read", "pwrite"}, [](World&) {
        Fd folder(open_folder());
        if (!folder.is_open())
            return;
        Ledger ledger = sample(), read;
        int result = write_ledger(folder.number(), ledger);
        read_ledger(folder.number(), read);
        CHECK((equal(read, ledger) || read.number == 0));
        CHECK(result <= 0);
        if (result == 0 && read.number == 0)
            CHECK(fake::count("pwrite") == 1); // it was the reading that failed
        write_answered(folder.number(), 12);
    });
    World world;
    fake::put("/home/me/victim", "precious");
    fake::put("/home/me/ledger")->kind = fake::Node::Kind::Link;
    fake::find("/home/me")->entries["ledger"]->target = "/home/me/victim";
    Fd folder(open_folder());
    Ledger ledger = sample();
    CHECK(write_ledger(folder.number(), ledger) == -ELOOP); // X3
    CHECK(fake::content("/home/me/victim") == "precious");
}

TEST_CASE("a server that worked clears the counts, however it ended [B2]") {
    Ledger answered = sample();
    answered.answered = answered.number;
    judge(answered, {boot, 2001, 0});
    CHECK(answered.outcome == Outcome::Ready);
    CHECK(answered.failures + answered.killed + answered.early == 0);
    Ledger old = sample();
    judge(old, {boot, 2000 + early_within, 0});
    CHECK(old.failures + old.killed + old.early == 0);
}

TEST_CASE("a server that goes down at once without an answer counts as failing the second time [B2]") {
    Ledger ledger = sample();
    ledger.failures = ledger.early = 0;
    judge(ledger, {boot, 2000 + early_within - 1, 0});
    CHECK(ledger.outcome == Outcome::Ready);
    CHECK(ledger.early == 1);
    CHECK(ledger.failures == 0);
    judge(ledger, {boot, 2000 + early_within - 1, 0});
    CHECK(ledger.outcome == Outcome::Failed);
    CHECK(ledger.failures == 1);
    CHECK(ledger.changed == 2000 + early_within - 1);
    CHECK(std::string(ledger.reason) != "");
}

TEST_CASE("a record of another boot, or of the future, keeps its number only [B3]") {
    for (Moment moment : {Moment{boot + 1, 3000, 0}, Moment{boot, 1999, 0}}) {
        for (Outcome outcome : {Outcome::Starting, Outcome::Ready, Outcome::Failed, Outcome::Killed}) {
            Ledger ledger = sample();
            ledger.outcome = outcome;
            judge(ledger, moment);
            CHECK(ledger.outcome == Outcome::None);
            CHECK(ledger.number == 12);
            CHECK(ledger.failures + ledger.killed + ledger.early == 0);
        }
        Ledger stopped = sample();
        stopped.outcome = Outcome::Stopped;
        judge(stopped, moment);
        CHECK(stopped.outcome == Outcome::Stopped); // the owner's word outlives a boot
    }
}

TEST_CASE("the window is 1, 2, 4 ... 60 s, and over when something changed [B1][B3]") {
    Ledger ledger = sample();
    ledger.outcome = Outcome::Failed;
    ledger.fingerprint = 7;
    Moment moment = {boot, 2000, 7};
    const int windows[] = {1000, 2000, 4000, 8000, 16'000, 32'000, 60'000, 60'000};
    for (int failures = 1; failures <= 8; failures++) {
        ledger.failures = failures;
        moment.now = 2000;
        CHECK(back_off_left(ledger, moment) == windows[failures - 1]);
        moment.now = 2000 + windows[failures - 1] - 1;
        CHECK(back_off_left(ledger, moment) == 1);
        moment.now++;
        CHECK(back_off_left(ledger, moment) == 0);
    }
    ledger.failures = INT64_MAX;
    moment.now = 2000;
    CHECK(back_off_left(ledger, moment) == 60'000);
    CHECK(back_off_left(ledger, {boot, 2000, 8}) == 0);     // the app file or the script changed
    CHECK(back_off_left(ledger, {boot + 1, 2000, 7}) == 0); // a reboot
    CHECK(back_off_left(ledger, {boot, 1999, 7}) == 0);     // from the future
    CHECK(back_off_left(ledger, {boot, INT64_MAX, 7}) == 0);
    ledger.failures = 0;
    CHECK(back_off_left(ledger, moment) == 0);
    ledger.failures = 3;
    for (Outcome outcome : {Outcome::None, Outcome::Starting, Outcome::Ready, Outcome::Killed, Outcome::Stopped}) {
        ledger.outcome = outcome;
        CHECK(back_off_left(ledger, moment) == 0);
    }
}
