using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// What a program does with a file that an ioctl has opened, beside closing it. Reading takes something away, so that reads and writes are
// operations of the context like ioctls: named, run once and journaled.

/// <summary>A read or a write of a file that an ioctl has opened.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.FileRequest")]
public abstract record FileRequest;

/// <summary><c>read</c>: takes as many whole records as fit.</summary>
/// <param name="Count">Bytes of the buffer.</param>
/// <param name="WritableBytes">How many of them, from the first on, can be written.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.ReadFileRequest")]
public sealed record ReadFileRequest([property: Id(0)] ulong Count, [property: Id(1)] ulong WritableBytes) : FileRequest;

/// <summary><c>write</c>: takes whole records, in order, up to the first that is refused.</summary>
/// <param name="Count">Bytes of the buffer.</param>
/// <param name="Content">How many of them, from the first on, can be read: at most <see cref="IoctlLimits.MaxBufferBytes"/>.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.WriteFileRequest")]
public sealed record WriteFileRequest([property: Id(0)] ulong Count, [property: Id(1)] byte[] Content) : FileRequest;

/// <summary>The answer to a read or a write.</summary>
/// <param name="Errno">0 on success; EBADF where the file leads nowhere.</param>
/// <param name="Count">Bytes read or written.</param>
/// <param name="Data">What was read; null for nothing.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FileReply")]
public sealed record FileReply(
    [property: Id(0)] Errno Errno, [property: Id(1)] int Count = 0, [property: Id(2)] byte[]? Data = null, [property: Id(3)] IoctlDiagnostic? Diagnostic = null);

/// <summary>What can be done with a file now.</summary>
/// <param name="Errno">0 on success; EBADF where the file leads nowhere.</param>
/// <param name="Events">What <c>poll</c> reports.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.PollReply")]
public sealed record PollReply([property: Id(0)] Errno Errno, [property: Id(1)] PollEvents Events = default);
