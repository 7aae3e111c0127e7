#include "body_spool.h"

#include "buffer.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>

namespace rouse {

namespace {

char scratch[65536]; // what was read from standard input and is written or dropped at once

} // namespace

void RequestBody::begin(const CgiRequest& request, int input, uint64_t max_spool, const char* folder) {
    input_ = input;
    max_spool_ = max_spool;
    folder_ = folder;
    length_known_ = request.body != CgiRequest::Body::UntilEnd;
    length_ = request.body == CgiRequest::Body::Length ? request.length : 0;
    unread_ = length_known_ ? length_ : UINT64_MAX;
    if (request.body == CgiRequest::Body::BadLength)
        unread_ = UINT64_MAX; // to be drained, as far as it is there
}

bool RequestBody::not_held(int code) {
    error_ = {code, "hold the request body in\0Is there room, and may files be written there?"_words,
              folder_ != nullptr ? folder_ : "/tmp"};
    return false;
}

// O_TMPFILE has no name that could be left behind. A file system without it (NFS) leaves /tmp, and a /tmp without
// it memory: then the kernel's, which may go to swap, and not ours.
bool RequestBody::open_file() {
    for (const char* folder : {folder_, "/tmp"})
        if (!file_.is_open() && folder != nullptr)
            file_.reset(sys::open(AT_FDCWD, folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file_.number() == -EOPNOTSUPP || file_.number() == -EISDIR)
        file_.reset(sys::memory_file());
    return file_.is_open() || not_held(-file_.number());
}

Spooling RequestBody::spool_some() {
    if (unread_ == 0)
        return Spooling::Whole;
    if (length_known_ && length_ > max_spool_)
        return Spooling::TooLarge;
    if (!open_file())
        return Spooling::Failed;
    return take(read_scratch());
}

ssize_t RequestBody::read_scratch() {
    if (is_ready(input_, POLLIN) == 0)
        return -EAGAIN;
    ssize_t count =
        read_some(input_, scratch, unread_ < sizeof scratch ? static_cast<size_t>(unread_) : sizeof scratch);
    if (count > 0)
        unread_ -= static_cast<uint64_t>(count);
    else if (count != -EAGAIN)
        unread_ = 0;
    return count;
}

Spooling RequestBody::take(ssize_t count) {
    if (count == -EAGAIN)
        return Spooling::More;
    if (count <= 0) {
        if (length_known_ || count < 0) // an error is no end: what came before it is not all
            return Spooling::Short;
        length_known_ = true; // F4: now it is
        length_ = spooled_;
        return Spooling::Whole;
    }
    size_t size = static_cast<size_t>(count);
    if (spooled_ + size > max_spool_)
        return Spooling::TooLarge;
    // By offset: sendfile moves the file's own.
    for (size_t done = 0; done < size;) {
        ssize_t written = sys::pwrite(file_.number(), scratch + done, size - done, static_cast<off_t>(spooled_ + done));
        if (written == -EINTR)
            continue;
        if (written <= 0) {
            not_held(written < 0 ? static_cast<int>(-written) : ENOSPC);
            return Spooling::Failed;
        }
        done += static_cast<size_t>(written);
    }
    spooled_ += size;
    return unread_ == 0 ? Spooling::Whole : Spooling::More;
}

Spooling RequestBody::spool_all() {
    for (;;) {
        Spooling step = spool_some();
        if (step != Spooling::More)
            return step;
        is_ready(input_, POLLIN, -1);
    }
}

void RequestBody::rewind() {
    sent_ = 0;
    pumping_ = false;
}

Pump::Step RequestBody::send_some(int server) {
    if (sent_ < spooled_) {
        ssize_t count = uninterrupted([&] {
            return sys::sendfile(server, file_.number(), static_cast<off_t>(sent_),
                                 static_cast<size_t>(spooled_ - sent_));
        });
        if (count == -EAGAIN)
            return Pump::Step::AwaitOutput;
        if (count <= 0)
            return count == 0 ? Pump::Step::InputFailed : Pump::Step::OutputFailed;
        sent_ += static_cast<uint64_t>(count);
        return Pump::Step::Moved;
    }
    if (!pumping_) {
        if (unread_ == 0)
            return Pump::Step::Ended;
        pump_.begin(input_, server, Pump::Direction::ToServer);
        pumping_ = true;
    }
    if (pump_.given() + spooled_ == length_)
        return Pump::Step::Ended;
    uint64_t before = pump_.taken();
    Pump::Step step = pump_.move(unread_, false);
    unread_ -= pump_.taken() - before;
    streamed_ = pump_.taken();
    return step == Pump::Step::Ended ? Pump::Step::InputFailed : step;
}

bool RequestBody::drain_some() {
    if (unread_ > 0)
        read_scratch();
    return unread_ > 0;
}

void RequestBody::drain(int silence) {
    while (unread_ > 0) {
        if (is_ready(input_, POLLIN, silence) <= 0)
            return;
        drain_some();
    }
}

} // namespace rouse
