using IommuFd.GrainInterfaces;

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
/// <param name="Copied">The bytes that <see cref="IoctlReply.Copy"/> copies; null for none.</param>
internal sealed record ProgramIoctl(ContextKey Context, IoctlRequest Request, IoctlReply Reply, byte[]? Copied) : ProgramCall;

/// <summary>A read or a write of a file that an ioctl has opened.</summary>
/// <param name="File">What the file leads to.</param>
/// <param name="Request">What was asked for.</param>
/// <param name="Reply">Its answer.</param>
internal sealed record ProgramTransfer(FileTarget File, FileRequest Request, FileReply Reply) : ProgramCall;

/// <summary>The last copy of a file's descriptor was closed.</summary>
/// <param name="File">What the file led to.</param>
internal sealed record ProgramClose(FileTarget File) : ProgramCall;
