using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Silo.Gateway.Recording;

/// <summary>What a program did, with the service's answer.</summary>
internal abstract record ProgramCall;

/// <summary>A context was opened.</summary>
/// <param name="Context">The context.</param>
internal sealed record ProgramOpen(ContextKey Context) : ProgramCall;

/// <summary>An ioctl.</summary>
/// <param name="Context">The context on whose descriptor it was issued.</param>
/// <param name="Request">The ioctl, with what it read of the program's memory.</param>
/// <param name="Reply">Its answer.</param>
/// <param name="Copy">The copy that is a part of it; null for none.</param>
/// <param name="Copied">The bytes that are copied; null for none, or where they can't be read, as the program can't.</param>
internal sealed record ProgramIoctl(ContextKey Context, IoctlRequest Request, IoctlReply Reply, UserCopy? Copy, byte[]? Copied) : ProgramCall
{
    /// <summary>What the program gets.</summary>
    public Errno Errno => Copy is not null && Copied is null && Reply.Errno == Errno.None ? Errno.EFAULT : Reply.Errno;
}

/// <summary>A read or a write of a file that an ioctl has opened.</summary>
/// <param name="File">What the file leads to.</param>
/// <param name="Request">What was asked for.</param>
/// <param name="Reply">Its answer.</param>
internal sealed record ProgramTransfer(FileTarget File, FileRequest Request, FileReply Reply) : ProgramCall;

/// <summary>The last copy of a file's descriptor was closed.</summary>
/// <param name="File">What the file led to.</param>
internal sealed record ProgramClose(FileTarget File) : ProgramCall;
