#include "launch.h"

#include "fingerprint.h"
#include "guardian.h"
#include "health.h"
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

} // namespace

Launch::Told Launch::over(End end) {
    end_ = end;
    return Told::Over;
}

Launch::Told Launch::refused() {
    return over(is_shortage(error.code) ? End::Shortage : End::Wrong);
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

Launch::Told Launch::use_connection() {
    error = connection.error;
    switch (connection.reach) {
    case Reach::Down:
        return Told::Again;
    case Reach::Busy:
        return over(End::Overdue);
    case Reach::Connected:
        return over(End::Connected);
    case Reach::Foreign:
        return over(End::Foreign);
    case Reach::Shortage:
    case Reach::Wrong:
        break;
    }
    return refused();
}

// Takes the whole body off the web server's hands first: one that cannot write its body stalls, and may cut it.
Launch::Told Launch::connect_and_wait() {
    if (take_slot() == Told::Over)
        return Told::Over;
    if (after_spooling(body_->spool_all()) == Told::Over)
        return Told::Over;
    connect_until(settings_->socket, order_.rule, deadline_, connection);
    return use_connection();
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

// One of `max-waiting`, a lock on a byte: the kernel gives it up when we end, however that is. A file that cannot be made is
// no reason to turn anybody away.
Launch::Told Launch::take_slot() {
    if (settings_->max_waiting == 0 || settings_->run.empty() || slot_.is_open() || !open_folder())
        return Told::Again;
    slot_.reset(sys::open(folder_.number(), "waiting", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    for (unsigned slot = 0; slot < settings_->max_waiting; ++slot)
        if (int result = sys::lock_byte(slot_.number(), slot); result != -EAGAIN && result != -EACCES)
            return Told::Again;
    return over(End::Overdue);
}

// Whether the ledger is one of our socket.
bool Launch::is_ours(const Ledger& ledger) const {
    return ledger.number == 0 || ledger.socket == name_of_socket(*settings_);
}

// Whether the server that may be running is to be replaced, and why. To be asked under start.lock, and it is the only
// judgement that counts: who thought so before may have thought so of the server before.
bool Launch::is_to_be_replaced(const Ledger& ledger) {
    order_.moment.now = boot_now();
    bool hangs = is_hung(folder_.number());
    order_.reason = hangs ? "hung" : "touched";
    order_.replaces = !ledger.is_failure() && ledger.outcome != Ledger::Outcome::Stopped &&
                      (hangs || look_for_touch(*settings_) == Touch::Touched) && is_ours(ledger) &&
                      nothing_in_the_way(settings_->socket, order_.rule.own, error);
    if (!order_.replaces)
        order_.reason = nullptr;
    return order_.replaces;
}

Launch::Told Launch::one_round() {
    static Ledger note, ledger;
    int folder = folder_.number();
    read_ledger(folder, note);
    int64_t noted = boot_now();
    try_lock(folder, start_lock, start_);
    if (start_.held == Held::No) {
        if (take_slot() == Told::Over || after_spooling(body_->spool_all()) == Told::Over)
            return Told::Over;
        wait_for_lock(folder, start_lock, deadline_, start_);
    }
    if (start_.held == Held::Error) {
        error = start_.error;
        return refused();
    }
    if (start_.held == Held::No) {
        end_stuck_guardian();
        return over(End::Overdue);
    }

    read_ledger(folder, ledger);
    number_ = ledger.number;
    if (is_to_be_replaced(ledger))
        return begin_launch();
    connect_until(settings_->socket, order_.rule, Deadline(), connection);
    if (connection.reach == Reach::Connected && ledger.outcome == Ledger::Outcome::Starting && of_this_boot(ledger)) {
        // Its guardian was killed before it could write so.
        ledger.outcome = Ledger::Outcome::Ready;
        ledger.changed = order_.moment.now;
        write_ledger(folder, ledger); // not written: the next launch counts this one as killed
    }
    if (connection.reach == Reach::Busy) {
        start_.lock.reset();
        return connect_and_wait();
    }
    if (connection.reach != Reach::Down)
        return use_connection();
    if (!nothing_in_the_way(settings_->socket, order_.rule.own, error))
        return refused();
    error = {EBUSY,
             "use the run directory\0It is another socket's: set a `run` of its own, or remove its ledger."_words,
             settings_->run.data()};
    if (!is_ours(ledger))
        return refused();

    order_.moment.fingerprint = fingerprint_of(*settings_);
    bool was_failure = ledger.is_failure();
    judge(ledger, order_.moment);
    if (ledger.outcome == Ledger::Outcome::Stopped)
        return over(End::Stopped);
    if (ledger.is_failure() && !was_failure)
        write_ledger(folder, ledger); // B2: the second in a row that went down early
    int window = back_off_left(ledger, order_.moment);
    retry_after = static_cast<unsigned>(window + 999) / 1000;
    // One that was written since we noted the ledger is shared by all who waited for it, even if its window is over.
    bool is_news = ledger.is_failure() && ledger.changed >= noted &&
                   (ledger.number != note.number || ledger.changed != note.changed || !note.is_failure());
    if (is_news || window > 0)
        return over(End::Failed);
    return begin_launch();
}

// Answers what fork(2) does. From then on start.lock is the guardian's alone.
int Launch::fork_guardian(Fd& channel) {
    order_.moment.fingerprint = fingerprint_of(*settings_);
    int ends[2];
    int result = sys::socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC, ends);
    if (result < 0)
        return result;
    channel.reset(ends[0]);
    struct sigaction action = {};
    action.sa_handler = SIG_IGN; // nobody waits for the guardian, and a zombie would stay as long as we (wait(2))
    sys::sigaction(SIGCHLD, action);
    order_.folder = folder_.number();
    order_.start_lock = start_.lock.number();
    order_.channel = ends[1];
    result = sys::fork();
    if (result == 0)
        guard_launch(order_);
    sys::close(ends[1]);
    start_.lock.reset();
    return result;
}

Launch::Told Launch::begin_launch() {
    if (!start_script_is_trusted(*settings_, owner_of_app_, error))
        return refused();
    Fd channel;
    Told room = take_slot(); // the launch does not depend on it
    int result = fork_guardian(channel);
    if (result > 0)
        return room == Told::Over ? room : wait_for_guardian(channel.number());
    // No launch, and not a failure for the back-off (C1); but those who wait for one must not try the same, one after
    // another.
    static Ledger ledger;
    read_ledger(folder_.number(), ledger);
    ++ledger.number;
    ledger.outcome = Ledger::Outcome::Failed;
    ledger.changed = order_.moment.now;
    ledger.fingerprint = 0; // no window
    stamp_ledger(ledger, *settings_, order_.moment.boot);
    write_ledger(folder_.number(), ledger);
    error = {-result, "start a process for\0"_words, "the launch"};
    return refused();
}

Launch::Told Launch::wait_for_guardian(int channel) {
    for (;;) {
        int input = body_->is_drained() ? -1 : body_->input();
        pollfd descriptors[3] = {{channel, POLLIN, 0}, {input, POLLIN, 0}, {output_, 0, 0}};
        int count = sys::poll(descriptors, 3, deadline_.left());
        if (count == -EINTR)
            continue;
        if (count <= 0)
            return over(End::Overdue);
        if (descriptors[0].revents != 0)
            return hear(channel);
        if (descriptors[2].revents != 0)
            return over(End::Gone); // the launch goes on without us (L3)
        if (after_spooling(body_->spool_some()) == Told::Over)
            return Told::Over;
    }
}

[[gnu::noinline]] Launch::Told Launch::hear(int channel) {
    static GuardianWord word;
    iovec parts = {&word, sizeof word};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message = {};
    message.msg_iov = &parts;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size = uninterrupted([&] { return sys::recvmsg(channel, &message, MSG_CMSG_CLOEXEC); });
    if (size != sizeof word)
        return Told::Again; // it ended without a word
    connection.socket.reset();
    if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        memcpy(&number, CMSG_DATA(header), sizeof number);
        connection.socket.reset(number);
    }
    switch (word.kind) {
    case GuardianWord::Kind::Ready:
        number_ = word.number;
        if (!connection.socket.is_open())
            return connect_and_wait();
        adopt_connection(settings_->socket, order_.rule, connection);
        return use_connection();
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
    order_.moment.boot = this_boot();
}

// The node's folder; false: end_ says why not.
bool Launch::open_folder() {
    if (folder_.is_open())
        return true;
    folder_is_refused_ = !open_node_folder(*settings_, folder_, error);
    if (folder_is_refused_) {
        folder_.reset();
        refused();
    }
    return !folder_is_refused_;
}

Launch::End Launch::wake() {
    prepare();
    if (!open_folder())
        return end_;
    end_ = End::Overdue;
    while (empty_handed_ < rounds) {
        Told told = one_round();
        start_.lock.reset();
        if (told == Told::Over)
            break;
        ++empty_handed_;
    }
    slot_.reset();
    return empty_handed_ < rounds ? end_ : End::Overdue;
}

[[gnu::noinline]] Launch::End Launch::wait_for_room() {
    prepare();
    if (take_slot() == Told::Over) // and waited for nothing
        return end_;
    if (settings_->start_count > 0 && open_folder())
        suspicion_ = suspect_server(folder_.number(), true);
    bool is_over = connect_and_wait() == Told::Over;
    slot_.reset();
    if (!is_over)
        return settings_->start_count > 0 ? wake() : End::Overdue;
    if (end_ == End::Overdue)
        silent();
    return end_;
}

bool Launch::is_touched() {
    Touch touch = settings_->start_count > 0 ? look_for_touch(*settings_) : Touch::None;
    if (touch == Touch::FirstLook && open_folder())
        note_touch(*settings_, folder_.number(), Noting::FirstLook);
    return touch == Touch::Touched;
}

void Launch::answered() const {
    forget_silences(*settings_);
    if (number_ != 0)
        write_answered(folder_.number(), number_); // not written: the server may count as one that went down early
}

void Launch::suspect() {
    if (open_folder())
        suspicion_ = suspect_server(folder_.number(), false);
}

// The socket goes before the request is answered: who comes after it waits for the new server.
void Launch::silent() {
    if (!count_silence(folder_.number(), suspicion_))
        return;
    prepare();
    try_lock(folder_.number(), start_lock, start_);
    static Ledger ledger;
    read_ledger(folder_.number(), ledger);
    // Not when somebody launches: what comes of it begins with a clean record.
    if (start_.held == Held::Yes && is_to_be_replaced(ledger) &&
        start_script_is_trusted(*settings_, owner_of_app_, error)) {
        if (settings_->socket.family == Address::Family::Path && of_this_boot(ledger))
            sys::unlink(AT_FDCWD, settings_->socket.path());
        Fd channel;
        fork_guardian(channel); // no process: the next request finds the socket gone
    }
    start_.lock.reset();
}

} // namespace rouse
