#include "launch.h"

#include "guardian.h"
#include "io.h"
#include "locks.h"
#include "run_folder.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

namespace rouse {

namespace {

constexpr int rounds = 3;                  // the first, and two more for whoever was delivered nothing
constexpr int stuck_after = 15'000;        // milliseconds past start-timeout: that guardian will not end by itself
constexpr size_t boot_id_size = 36;

uint64_t mix(uint64_t sum, uint64_t value) { // FNV-1a, eight bytes at a time: any change must show, nothing more
    return (sum ^ value) * 1099511628211u;
}

uint64_t fingerprint_of(const char* path, uint64_t sum) {
    struct stat status = {};
    if (sys::stat(AT_FDCWD, path, status) < 0)
        return mix(sum, 1);
    for (uint64_t value : {static_cast<uint64_t>(status.st_ino), static_cast<uint64_t>(status.st_size),
                           static_cast<uint64_t>(status.st_mtim.tv_sec), static_cast<uint64_t>(status.st_mtim.tv_nsec),
                           static_cast<uint64_t>(status.st_ctim.tv_sec), static_cast<uint64_t>(status.st_ctim.tv_nsec)})
        sum = mix(sum, value);
    return sum;
}

bool is_shortage(int code) {
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOBUFS || code == EAGAIN ||
           code == ENOSPC || code == EDQUOT || code == ENOLCK;
}

unsigned in_seconds(int milliseconds) {
    return static_cast<unsigned>((milliseconds + 999) / 1000);
}

} // namespace

Launch::Told Launch::over(End end) {
    end_ = end;
    return Told::Over;
}

Launch::Told Launch::over(End end, const Error& why) {
    error = why;
    return over(end);
}

Moment Launch::this_moment() {
    Moment moment;
    moment.boot = boot_;
    moment.now = boot_now();
    moment.fingerprint = fingerprint_of(settings_.start[0], fingerprint_of(settings_.app.data(), 14695981039346656037u));
    return moment;
}

// Takes the whole body off the web server's hands: one that cannot write its body stalls, and may cut it.
Launch::Told Launch::spool() {
    switch (body_.spool_all()) {
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
    return over(is_shortage(body_.error().code) ? End::Shortage : End::Wrong, body_.error());
}

Launch::Told Launch::use(Connection found) {
    switch (found.reach) {
    case Reach::Connected:
        connection = std::move(found);
        return over(End::Connected);
    case Reach::Down:
        return Told::Again;
    case Reach::Busy:
        return over(End::Overdue);
    case Reach::Shortage:
        return over(End::Shortage, found.error);
    case Reach::Foreign:
        return over(End::Foreign, found.error);
    case Reach::Wrong:
        break;
    }
    return over(End::Wrong, found.error);
}

Launch::Told Launch::connect_and_wait() {
    if (Told told = spool(); told == Told::Over)
        return told;
    return use(connect_until(settings_.socket, rule_, deadline_));
}

bool Launch::is_newer_failure(const Ledger& now, const Ledger& note, int64_t noted) const {
    return now.is_failure() && now.boot == std::string_view(boot_) && now.changed >= noted &&
           (now.number != note.number || !note.is_failure() || now.changed != note.changed);
}

// A guardian that holds start.lock past every time-out is stopped (SIGSTOP, say), or its machine is ill: it is killed,
// the kernel frees its lock, and the next request adopts or launches (L5).
void Launch::end_stuck_guardian() {
    Ledger ledger = read_ledger(folder_.number());
    if (ledger.outcome != Ledger::Outcome::Starting || ledger.boot != std::string_view(boot_) || ledger.guardian <= 1 ||
        boot_now() - ledger.started < int64_t{settings_.start_timeout} + stuck_after)
        return;
    Fd process(sys::pidfd_open(ledger.guardian));
    static char path_bytes[64];
    Text path(path_bytes);
    path.add("/proc/").add_number(static_cast<uint64_t>(ledger.guardian));
    struct stat status;
    if (sys::stat(AT_FDCWD, path.c_str(), status) < 0 || status.st_uid != rule_.own ||
        start_time_of(ledger.guardian) != ledger.guardian_start)
        return;
    if (process.is_open())
        sys::pidfd_send_signal(process.number(), SIGKILL);
    else
        sys::kill(ledger.guardian, SIGKILL);
}

Launch::Told Launch::one_round() {
    Ledger note = read_ledger(folder_.number());
    int64_t noted = boot_now();
    Hold start = try_lock(folder_.number(), start_lock);
    if (start.held == Held::No) {
        start.lock.reset();
        if (Told told = spool(); told == Told::Over)
            return told;
        start = wait_for_lock(folder_.number(), start_lock, deadline_);
    }
    if (start.held == Held::Error)
        return over(is_shortage(start.error.code) ? End::Shortage : End::Wrong, start.error);
    if (start.held == Held::No) {
        end_stuck_guardian();
        return over(End::Overdue);
    }

    Connection found = connect_now(settings_.socket, rule_);
    Ledger ledger = read_ledger(folder_.number());
    number_ = ledger.number;
    if (found.reach == Reach::Connected && ledger.outcome == Ledger::Outcome::Starting &&
        ledger.boot == std::string_view(boot_)) {
        // Its guardian was killed before it could write so.
        ledger.outcome = Ledger::Outcome::Ready;
        ledger.changed = boot_now();
        write_ledger(folder_.number(), ledger); // not written: the next launch counts this one as killed
    }
    if (found.reach == Reach::Busy) {
        start.lock.reset();
        return connect_and_wait();
    }
    if (found.reach != Reach::Down)
        return use(std::move(found));
    if (Error in_the_way; !nothing_in_the_way(settings_.socket, rule_.own, in_the_way))
        return over(End::Wrong, in_the_way);

    Moment moment = this_moment();
    static char socket_bytes[sizeof ledger.socket];
    Text socket(socket_bytes);
    name_of_socket(settings_, socket);
    if (ledger.number != 0 && ledger.socket != socket.view())
        return over(End::Wrong, {EBUSY, "use the run directory\0" "It belongs to another socket: give each app file a `run` of its own, or remove "
                                 "the ledger in it.", settings_.run.data()});
    Ledger judgement = judged(ledger, moment);
    if (judgement.is_failure() && !ledger.is_failure())
        write_ledger(folder_.number(), judgement); // B2: the second in a row that went down early
    if (judgement.outcome == Ledger::Outcome::Stopped)
        return over(End::Stopped);
    int window = back_off_left(judgement, moment);
    retry_after = in_seconds(window);
    if (is_newer_failure(judgement, note, noted))
        return over(End::Failed);
    if (window > 0)
        return over(End::BackOff);
    return begin_launch(start.lock.release(), moment);
}

Launch::Told Launch::begin_launch(int lock, const Moment& moment) {
    Fd start(lock);
    if (Error refused = check_start_script(settings_, owner_of_app_))
        return over(End::Wrong, refused);
    int ends[2];
    int result = sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
    if (result < 0)
        return over(End::Shortage, {-result, "make a socket pair for\0" "", "the launch"});
    Fd ours(ends[0]), theirs(ends[1]);
    pid_t guardian = sys::fork();
    if (guardian == 0)
        guard_launch({settings_, request_, rule_, moment, folder_.number(), start.number(), theirs.number()});
    if (guardian < 0) {
        // No launch, and not a failure for the back-off (C1); but those who wait for one must not try the same,
        // one after another.
        Ledger ledger = judged(read_ledger(folder_.number()), moment);
        ++ledger.number;
        ledger.outcome = Ledger::Outcome::Failed;
        ledger.changed = boot_now();
        ledger.fingerprint = 0; // no window
        memcpy(ledger.boot, boot_, sizeof boot_);
        static char socket_bytes[sizeof ledger.socket];
        Text socket(socket_bytes);
        name_of_socket(settings_, socket);
        memcpy(ledger.socket, socket.c_str(), socket.size() + 1);
        set_reason(ledger, "no process could be started");
        write_ledger(folder_.number(), ledger);
        return over(End::Shortage, {-guardian, "start a process for\0" "", "the launch"});
    }
    start.reset(); // from here on the lock is the guardian's alone
    theirs.reset();
    Told told = wait_for_guardian(std::move(ours));
    sys::wait(guardian, nullptr, WNOHANG); // if it is over already; else it is init's
    return told;
}

Launch::Told Launch::wait_for_guardian(Fd channel) {
    bool spooling = !body_.is_drained();
    for (;;) {
        pollfd descriptors[3] = {
            {channel.number(), POLLIN, 0}, {spooling ? body_.input() : -1, POLLIN, 0}, {output_, 0, 0}};
        int count = sys::poll(descriptors, 3, deadline_.left());
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return over(End::Overdue);
        if (descriptors[0].revents != 0)
            return hear(channel.number());
        if (descriptors[2].revents != 0)
            return over(End::Gone); // the launch goes on without us (L3)
        switch (body_.spool_some()) {
        case Spooling::More:
            break;
        case Spooling::Whole:
            spooling = false;
            break;
        case Spooling::Short:
            return over(End::ShortBody);
        case Spooling::TooLarge:
            return over(End::LargeBody);
        case Spooling::Failed:
            return over(is_shortage(body_.error().code) ? End::Shortage : End::Wrong, body_.error());
        }
    }
}

Launch::Told Launch::hear(int channel) {
    GuardianWord word;
    iovec part_of_message = {&word, sizeof word};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &part_of_message;
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
        if (socket.is_open())
            return use(adopt_connection(std::move(socket), settings_.socket, rule_));
        return connect_and_wait();
    case GuardianWord::Kind::Failed: {
        retry_after = in_seconds(back_off_left(read_ledger(folder_.number()), this_moment()));
        return over(End::Failed);
    }
    case GuardianWord::Kind::Wrong:
        memcpy(sentence, word.sentence, sizeof sentence);
        sentence[sizeof sentence - 1] = '\0';
        return over(End::Wrong);
    }
    return Told::Again;
}

Launch::Told Launch::prepare() {
    if (!deadline_.begun())
        deadline_ = Deadline::in(settings_.wait);
    if (folder_.is_open())
        return Told::Again;
    Result<Fd> folder = open_node_folder(settings_);
    if (!folder.ok())
        return over(is_shortage(folder.error().code) ? End::Shortage : End::Wrong, folder.error());
    folder_ = std::move(folder.value());
    char storage[64];
    std::string_view id;
    if (read_small_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", storage, sizeof storage, id) &&
        id.size() >= boot_id_size) {
        memcpy(boot_, id.data(), boot_id_size);
        boot_[boot_id_size] = '\0';
    }
    return Told::Again;
}

Launch::End Launch::wake() {
    if (prepare() == Told::Over)
        return end_;
    for (; empty_handed_ < rounds; ++empty_handed_)
        if (one_round() == Told::Over)
            return end_;
    return End::Overdue;
}

Launch::End Launch::wait_for_room() {
    if (!deadline_.begun())
        deadline_ = Deadline::in(settings_.wait);
    if (connect_and_wait() == Told::Over)
        return end_;
    return settings_.start_count > 0 ? wake() : End::Overdue;
}

void Launch::answered() const {
    if (number_ != 0)
        write_answered(folder_.number(), number_); // not written: the server may count as one that went down early
}

} // namespace rouse
