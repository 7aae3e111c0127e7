#include "launch.h"

#include "guardian.h"
#include "io.h"
#include "locks.h"
#include "run_folder.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

constexpr int rounds = 3;           // the first, and two more for whoever was delivered nothing
constexpr int stuck_after = 15'000; // milliseconds past start-timeout: that guardian will not end by itself

// FNV-1a, a number at a time: any change must show, nothing more.
int64_t fingerprint_of(const char* path, uint64_t sum) {
    struct stat status = {};
    sys::stat(AT_FDCWD, path, status);
    const uint64_t values[] = {status.st_ino,
                               static_cast<uint64_t>(status.st_size),
                               static_cast<uint64_t>(status.st_mtim.tv_sec),
                               static_cast<uint64_t>(status.st_mtim.tv_nsec),
                               static_cast<uint64_t>(status.st_ctim.tv_sec),
                               static_cast<uint64_t>(status.st_ctim.tv_nsec)};
    for (uint64_t value : values)
        sum = (sum ^ value) * 1099511628211u;
    return static_cast<int64_t>(sum & INT64_MAX);
}

// What passes by itself; every other error is for the owner to mend.
bool is_shortage(int code) {
    for (int one : {EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, ENOSPC, EDQUOT, ENOLCK})
        if (code == one)
            return true;
    return false;
}

} // namespace

Launch::Told Launch::over(End end) {
    end_ = end;
    return Told::Over;
}

Launch::Told Launch::over(const Error& why) {
    error = why;
    return over(is_shortage(why.code) ? End::Shortage : End::Wrong);
}

Launch::Told Launch::after_spooling(Spooling spooling) {
    switch (spooling) {
    case Spooling::More:
    case Spooling::Whole:
        return Told::Again;
    case Spooling::Short:
        return over(End::ShortBody);
    case Spooling::TooLarge:
        return over(End::LargeBody);
    case Spooling::Failed:
        break;
    }
    error = body_->error();
    return over(End::Shortage);
}

Launch::Told Launch::use(Connection found) {
    switch (found.reach) {
    case Reach::Down:
        return Told::Again;
    case Reach::Busy:
        return over(End::Overdue);
    case Reach::Connected:
        connection = std::move(found);
        return over(End::Connected);
    case Reach::Shortage:
    case Reach::Foreign:
    case Reach::Wrong:
        break;
    }
    error = found.error;
    return over(found.reach == Reach::Shortage  ? End::Shortage
                : found.reach == Reach::Foreign ? End::Foreign
                                                : End::Wrong);
}

// Takes the whole body off the web server's hands first: one that cannot write its body stalls, and may cut it.
Launch::Told Launch::connect_and_wait() {
    if (after_spooling(body_->spool_all()) == Told::Over)
        return Told::Over;
    return use(connect_until(settings_->socket, rule_, deadline_));
}

// A guardian that holds start.lock past every time-out is stopped (SIGSTOP, say), or its machine is ill: it is killed,
// the kernel frees its lock, and the next request adopts or launches (L5).
void Launch::end_stuck_guardian() {
    static Ledger ledger;
    read_ledger(folder_.number(), ledger);
    if (ledger.outcome == Ledger::Outcome::Starting && of_this_boot(ledger) &&
        boot_now() - ledger.started >= int64_t{settings_->start_timeout} + stuck_after)
        end_process(static_cast<pid_t>(ledger.guardian), static_cast<uint64_t>(ledger.guardian_start));
}

Launch::Told Launch::one_round() {
    static Ledger note, ledger;
    int folder = folder_.number();
    read_ledger(folder, note);
    int64_t noted = boot_now();
    Hold start = try_lock(folder, start_lock);
    if (start.held == Held::No) {
        if (after_spooling(body_->spool_all()) == Told::Over)
            return Told::Over;
        start = wait_for_lock(folder, start_lock, deadline_);
    }
    if (start.held == Held::Error)
        return over(start.error);
    if (start.held == Held::No) {
        end_stuck_guardian();
        return over(End::Overdue);
    }

    Connection found = connect_now(settings_->socket, rule_);
    read_ledger(folder, ledger);
    number_ = ledger.number;
    moment_.now = boot_now();
    if (found.reach == Reach::Connected && ledger.outcome == Ledger::Outcome::Starting && of_this_boot(ledger)) {
        // Its guardian was killed before it could write so.
        ledger.outcome = Ledger::Outcome::Ready;
        ledger.changed = moment_.now;
        write_ledger(folder, ledger); // not written: the next launch counts this one as killed
    }
    if (found.reach == Reach::Busy) {
        start.lock.reset();
        return connect_and_wait();
    }
    if (found.reach != Reach::Down)
        return use(std::move(found));
    Error refusal;
    if (!nothing_in_the_way(settings_->socket, rule_.own, refusal))
        return over(refusal);
    if (ledger.number != 0) {
        static char socket_bytes[sizeof ledger.socket];
        Text socket(socket_bytes);
        name_of_socket(*settings_, socket);
        if (socket.view() != ledger.socket)
            return over({EBUSY,
                         "use the run directory\0It is another socket's: set a `run` of its own, or remove its ledger.",
                         settings_->run.data()});
    }

    moment_.fingerprint = fingerprint_of(
        settings_->start[0], static_cast<uint64_t>(fingerprint_of(settings_->app.data(), 14695981039346656037u)));
    bool was_failure = ledger.is_failure();
    judge(ledger, moment_);
    if (ledger.outcome == Ledger::Outcome::Stopped)
        return over(End::Stopped);
    if (ledger.is_failure() && !was_failure)
        write_ledger(folder, ledger); // B2: the second in a row that went down early
    int window = back_off_left(ledger, moment_);
    retry_after = static_cast<unsigned>(window + 999) / 1000;
    // One that was written since we noted the ledger is shared by all who waited for it, even if its window is over.
    bool is_news = ledger.is_failure() && ledger.changed >= noted &&
                   (ledger.number != note.number || ledger.changed != note.changed || !note.is_failure());
    if (is_news || window > 0)
        return over(End::Failed);
    return begin_launch(std::move(start.lock));
}

Launch::Told Launch::begin_launch(Fd start) {
    if (Error refusal = check_start_script(*settings_, owner_of_app_))
        return over(refusal);
    int ends[2];
    int result = sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
    if (result >= 0) {
        Fd ours(ends[0]), theirs(ends[1]);
        struct sigaction action = {};
        action.sa_handler = SIG_IGN; // nobody waits for the guardian, and a zombie would stay as long as we (wait(2))
        sys::sigaction(SIGCHLD, action);
        result = sys::fork();
        if (result == 0)
            guard_launch({*settings_, *request_, rule_, moment_, folder_.number(), start.number(), theirs.number()});
        if (result > 0) {
            start.reset(); // from here on the lock is the guardian's alone
            theirs.reset();
            return wait_for_guardian(std::move(ours));
        }
    }
    // No launch, and not a failure for the back-off (C1); but those who wait for one must not try the same, one after
    // another.
    static Ledger ledger;
    read_ledger(folder_.number(), ledger);
    ++ledger.number;
    ledger.outcome = Ledger::Outcome::Failed;
    ledger.changed = moment_.now;
    ledger.fingerprint = 0; // no window
    stamp_ledger(ledger, *settings_, boot_);
    write_ledger(folder_.number(), ledger);
    return over({-result, "start a process for\0", "the launch"});
}

Launch::Told Launch::wait_for_guardian(Fd channel) {
    for (;;) {
        pollfd descriptors[3] = {
            {channel.number(), POLLIN, 0}, {body_->is_drained() ? -1 : body_->input(), POLLIN, 0}, {output_, 0, 0}};
        int count = sys::poll(descriptors, 3, deadline_.left());
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return over(End::Overdue);
        if (descriptors[0].revents != 0)
            return hear(channel.number());
        if (descriptors[2].revents != 0)
            return over(End::Gone); // the launch goes on without us (L3)
        if (after_spooling(body_->spool_some()) == Told::Over)
            return Told::Over;
    }
}

Launch::Told Launch::hear(int channel) {
    GuardianWord word;
    iovec parts = {&word, sizeof word};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &parts;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size = uninterrupted([&] { return sys::recvmsg(channel, &message, MSG_CMSG_CLOEXEC); });
    if (size != sizeof word)
        return Told::Again; // it ended without a word
    Fd socket;
    if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        memcpy(&number, CMSG_DATA(header), sizeof number);
        socket.reset(number);
    }
    switch (word.kind) {
    case GuardianWord::Kind::Ready:
        number_ = word.number;
        return socket.is_open() ? use(adopt_connection(std::move(socket), settings_->socket, rule_))
                                : connect_and_wait();
    case GuardianWord::Kind::Failed:
        retry_after = word.retry_after;
        return over(End::Failed);
    case GuardianWord::Kind::Wrong:
        break;
    }
    memcpy(sentence, word.sentence, sizeof sentence);
    return over(End::Wrong);
}

void Launch::prepare() {
    if (!deadline_.begun())
        deadline_ = Deadline::in(settings_->wait);
    boot_[0] = '-'; // without /proc every boot is the same
    static char id_bytes[64];
    std::string_view id;
    if (read_small_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id_bytes, sizeof id_bytes, id) &&
        id.size() >= sizeof boot_)
        memcpy(boot_, id.data(), sizeof boot_ - 1);
    moment_.boot = boot_;
}

Launch::End Launch::wake() {
    prepare();
    Result<Fd> folder = open_node_folder(*settings_);
    if (!folder.ok()) {
        folder_refused_ = true;
        over(folder.error());
        return end_;
    }
    folder_ = std::move(folder.value());
    for (; empty_handed_ < rounds; ++empty_handed_)
        if (one_round() == Told::Over)
            return end_;
    return End::Overdue;
}

Launch::End Launch::wait_for_room() {
    prepare();
    if (connect_and_wait() == Told::Over)
        return end_;
    return settings_->start_count > 0 ? wake() : End::Overdue;
}

void Launch::answered() const {
    if (number_ != 0)
        write_answered(folder_.number(), number_); // not written: the server may count as one that went down early
}

} // namespace rouse
