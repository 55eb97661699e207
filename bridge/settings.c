/*
 * What the environment says, and what the bridge says: on standard error, each thing once.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <stdlib.h>
#include <sys/syscall.h>

static struct settings the_settings;
static _Atomic int settings_ready;

static void copy_setting(char *to, size_t size, const char *name, const char *missing)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0')
        value = missing;
    size_t length = strnlen(value, size);
    if (length < size)
        memcpy(to, value, length + 1);
}

static void say(const char *const words[])
{
    char line[512] = "iommufd: ";
    size_t used = strlen(line);
    for (; *words != NULL; words++) {
        size_t length = strnlen(*words, sizeof line - 1 - used);
        memcpy(line + used, *words, length);
        used += length;
    }
    line[used++] = '\n';
    syscall(SYS_write, STDERR_FILENO, line, used);
}

/* Before the program can change its environment. */
__attribute__((constructor)) static void read_environment(void)
{
    settings();
}

/* Two threads that come first at once write the same bytes. */
const struct settings *settings(void)
{
    if (!atomic_load_explicit(&settings_ready, memory_order_acquire)) {
        const char *mode = getenv("IOMMUFD_MODE"), *socket = getenv("IOMMUFD_SOCKET");
        copy_setting(the_settings.socket, sizeof the_settings.socket, "IOMMUFD_SOCKET", "");
        copy_setting(the_settings.device, sizeof the_settings.device, "IOMMUFD_DEVICE", "/dev/iommu");
        copy_setting(the_settings.trace, sizeof the_settings.trace, "IOMMUFD_TRACE", "");
        the_settings.mode = mode == NULL ? 0 : strcmp(mode, "volatile") == 0 ? 1 : strcmp(mode, "durable") == 0 ? 2 : 0;
        const char *patience = getenv("IOMMUFD_PATIENCE");
        unsigned long seconds = patience == NULL ? 30 : strtoul(patience, NULL, 10);
        the_settings.patience = (seconds < 86400 ? seconds : 86400) * 1000000000;
        size_t length = strlen(the_settings.socket);
        the_settings.active = length > 0 && length + 3 < sizeof the_settings.descriptors;
        if (the_settings.active)
            memcpy(mempcpy(the_settings.descriptors, the_settings.socket, length), "-fd", 4);
        else if (socket != NULL && socket[0] != '\0')
            say((const char *[]){"IOMMUFD_SOCKET is too long for a socket's path: ", socket, NULL});
        if (the_settings.active)
            faults_read(getenv("IOMMUFD_FAIL"), getenv("IOMMUFD_FAIL_NTH"));
        atomic_store_explicit(&settings_ready, 1, memory_order_release);
    }
    return &the_settings;
}

void say_gone(void)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"the gateway at ", settings()->socket, " is gone: calls on its descriptors fail (EIO)", NULL});
}

void say_lost(void)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"what was open at ", settings()->socket, " is no more: no silo was there before its lease expired. Calls on its descriptors fail (EIO)", NULL});
}

void say_unanswered(const uint8_t *why, size_t length)
{
    static _Atomic int said;
    char text[256];
    /* A trace has the words of every failure, those of Linux's own EIO too. */
    if (length == 0 || settings()->trace[0] != '\0' || atomic_exchange(&said, 1) != 0)
        return;
    length = length < sizeof text ? length : sizeof text - 1;
    for (size_t i = 0; i < length; i++)
        text[i] = why[i] < ' ' || why[i] == 0x7f ? ' ' : (char)why[i];
    text[length] = '\0';
    say((const char *[]){"the service at ", settings()->socket, " can't answer, and calls fail (EIO): ", text, NULL});
}

void say_waiting(void)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"the gateway at ", settings()->socket, " does not answer: calls wait until a silo is there again (IOMMUFD_PATIENCE, 30 seconds)", NULL});
}

void say_unreachable(const char *why)
{
    static _Atomic int said;
    if (atomic_exchange(&said, 1) == 0)
        say((const char *[]){"can't open ", settings()->device, " at the gateway ", settings()->socket, ": ", why, NULL});
}
