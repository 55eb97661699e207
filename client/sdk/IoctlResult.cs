using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>The answer to an ioctl.</summary>
/// <param name="Command">The full ioctl number.</param>
/// <param name="Errno">0 on success.</param>
/// <param name="ReturnValue">What the system call returns on success; 0 for most commands.</param>
/// <param name="Argument">The bytes that were copied back to the start of the argument; null for none.</param>
/// <param name="Diagnostic">Why the ioctl failed; null on success.</param>
public readonly record struct IoctlResult(uint Command, Errno Errno, int ReturnValue, byte[]? Argument, IoctlDiagnostic? Diagnostic)
{
    /// <summary>Whether the ioctl succeeded.</summary>
    public bool Succeeded => Errno == Errno.None;

    /// <summary>Decodes the bytes that were copied back; missing bytes are zero.</summary>
    /// <typeparam name="T">The command's struct.</typeparam>
    /// <returns>The struct.</returns>
    public T Read<T>()
        where T : unmanaged
        => UapiStruct.Read<T>(Argument);

    /// <summary>Throws if the ioctl failed.</summary>
    /// <returns>This result.</returns>
    /// <exception cref="IommufdException">The ioctl failed.</exception>
    public IoctlResult ThrowIfFailed() => Succeeded ? this : throw new IommufdException(Command, Errno, Diagnostic);

    internal static IoctlResult From(uint command, IoctlReply reply) => new(command, reply.Errno, reply.ReturnValue, reply.Argument, reply.Diagnostic);
}
