// This file knows what the kernel hands to a new process: arguments, environment and the auxiliary vector.
#pragma once

namespace rouse {

// The value of `type` (AT_EXECFN, AT_EUID ...: getauxval(3)), which is below 32; 0 when the kernel gave none.
unsigned long auxiliary_value(unsigned long type);

// What the program does; defined beside it. Both arrays end in a null pointer. Its answer is the exit status.
int run(char** arguments, char** environment);

} // namespace rouse
