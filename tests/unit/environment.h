// This file knows how the kernel lays out an environment: strings back to back, an array of pointers to them that
// ends with a null pointer, and behind that the auxiliary vector, which is not ours.
#pragma once

#include "bytes.h"

#include <doctest/doctest.h>
#include <vector>

class Environment {
public:
    explicit Environment(const std::vector<std::string>& entries) {
        size_t size = 0;
        for (const std::string& entry : entries)
            size += entry.size() + 1;
        strings_.reset(new char[size]);
        char* at = strings_.get();
        // On the heap, and as long as the kernel's up to the null pointer and the first auxiliary entry.
        array_.reset(new char*[entries.size() + 2]);
        size_t index = 0;
        for (const std::string& entry : entries) {
            memcpy(at, entry.c_str(), entry.size() + 1);
            array_[index++] = at;
            at += entry.size() + 1;
        }
        array_[index++] = nullptr;
        array_[index] = auxiliary();
        behind_ = &array_[index];
    }
    ~Environment() { CHECK_MESSAGE(*behind_ == auxiliary(), "the auxiliary vector was overwritten"); }

    char** get() { return array_.get(); }

private:
    static char* auxiliary() { return reinterpret_cast<char*>(uintptr_t{33}); }

    std::unique_ptr<char[]> strings_;
    std::unique_ptr<char*[]> array_;
    char** behind_ = nullptr;
};
