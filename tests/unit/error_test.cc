#include "error.h"
#include "said.h"

#include <doctest/doctest.h>
#include <string>

using namespace rouse;

TEST_CASE("each errno that may be met has words of its own [C1][P4]") {
    const int codes[] = {EPERM,     ENOENT,       EIO,        E2BIG,       ENOEXEC,      EAGAIN,       ENOMEM,
                         EACCES,    ENOTDIR,      EISDIR,     EINVAL,      ENFILE,       EMFILE,       ETXTBSY,
                         EFBIG,     ENOSPC,       EROFS,      EPIPE,       ENOLCK,       ENOSYS,       ELOOP,
                         ELIBBAD,   ENAMETOOLONG, EPROTOTYPE, EOPNOTSUPP,  ESTALE,       EDQUOT,       ENOBUFS,
                         ETIMEDOUT, ECONNREFUSED, ECONNRESET, ENETUNREACH, EHOSTUNREACH, EAFNOSUPPORT, EADDRNOTAVAIL};
    for (int one : codes) {
        CAPTURE(one);
        CHECK(said(reason(one)) != "unknown error");
        for (int other : codes)
            if (other != one)
                CHECK(said(reason(one)) != said(reason(other)));
    }
}

TEST_CASE("a code that is not in the table has words too") {
    for (int code : {-1, 0, 4095, 4096, 1 << 30})
        CHECK(said(reason(code)) == "unknown error");
}

TEST_CASE("a result is a value or an error") {
    Result<int> good(5);
    CHECK(good.ok());
    CHECK(good.value() == 5);
    Result<int> bad(Error{ENOENT, "open\0"_words, "x"});
    CHECK_FALSE(bad.ok());
    CHECK(bad.error().code == ENOENT);
    CHECK(static_cast<bool>(bad.error()));
    CHECK_FALSE(static_cast<bool>(Error{}));
}

TEST_CASE("every code that rouse itself makes an error of has words of its own [X4]") {
    for (int code : {EPERM, EEXIST, EBUSY, EFBIG, ENAMETOOLONG, ENOENT, ENOSPC, EINTR, EBADF, ENXIO})
        CHECK_MESSAGE(said(reason(code)) != "unknown error", code);
}
