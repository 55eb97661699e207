using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace IommuFd.Silo.Gateway;

// What .NET's sockets don't offer: to hear that a peer has closed its end while bytes are left unread, and to look at bytes that stay unread.

/// <summary>The calls of Linux that descriptors need. x86-64 and arm64 have the same numbers; their <c>epoll_event</c> differs.</summary>
internal static partial class Native
{
    public const uint EpollIn = 0x001, EpollHangUp = 0x010, EpollPeerClosed = 0x2000, EpollEdge = 0x8000_0000;

    public const int EpollAdd = 1;

    public const int DontWait = 0x40, NoSignal = 0x4000, Peek = 0x02;

    public const int SolSocket = 1, SoPeerCred = 17, SoPeekOffset = 42;

    /// <summary>Of <see cref="CreateMemoryFile"/>: MFD_CLOEXEC and MFD_ALLOW_SEALING.</summary>
    public const uint CloseOnExec = 1, AllowSealing = 2;

    /// <summary>Of <see cref="Control"/>: F_ADD_SEALS, and its F_SEAL_WRITE.</summary>
    public const int AddSeals = 1033, SealWrite = 8;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle CreateMemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Control(SafeFileHandle file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "fchmod", SetLastError = true)]
    public static partial int ChangeMode(int fileDescriptor, uint mode);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static unsafe partial int EpollControl(SafeFileHandle epoll, int operation, int fileDescriptor, byte* epollEvent);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static unsafe partial int EpollWait(SafeFileHandle epoll, byte* events, int count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static unsafe partial nint Receive(int socket, byte* bytes, nint count, int flags);

    [LibraryImport("libc", EntryPoint = "process_vm_readv", SetLastError = true)]
    public static unsafe partial nint ReadProcess(int process, Vector* local, nuint localCount, Vector* remote, nuint remoteCount, nuint flags);

    [LibraryImport("libc", EntryPoint = "process_vm_writev", SetLastError = true)]
    public static unsafe partial nint WriteProcess(int process, Vector* local, nuint localCount, Vector* remote, nuint remoteCount, nuint flags);

    /// <summary><c>pidfd_open</c>.</summary>
    public static nint OpenProcess(int process, uint flags) => SystemCall(434, process, (nint)flags, 0);

    /// <summary><c>pidfd_getfd</c>.</summary>
    public static nint CopyDescriptor(SafeFileHandle process, int fileDescriptor, uint flags) => SystemCall(438, process.DangerousGetHandle(), fileDescriptor, (nint)flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static unsafe partial nint Read(SafeFileHandle file, void* bytes, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static unsafe partial nint Write(SafeFileHandle file, void* bytes, nint count);

    // libc has functions for these only since a short time.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint one, nint two, nint three);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static unsafe partial int Poll(PollRequest* requests, uint count, int milliseconds);

    /// <summary>Bytes of an <c>epoll_event</c>, which x86-64 packs.</summary>
    public static int EpollEventBytes { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    /// <summary>Offset of the 64 bits that belong to the program.</summary>
    public static int EpollDataOffset => EpollEventBytes - sizeof(long);

    /// <summary><c>struct iovec</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Vector
    {
        public ulong Start;
        public ulong Length;
    }

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollRequest
    {
        public int FileDescriptor;
        public short Events;
        public short Returned;
    }
}
