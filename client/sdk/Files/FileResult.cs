using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>The answer to a read or a write of a file that an ioctl has opened.</summary>
/// <param name="Operation">"read" or "write".</param>
/// <param name="Errno">0 on success.</param>
/// <param name="Count">Bytes that were read or written: 0 where there was nothing to read.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
public readonly record struct FileResult(string Operation, Errno Errno, int Count, IoctlDiagnostic? Diagnostic)
{
    /// <summary>Whether it succeeded.</summary>
    public bool Succeeded => Errno == Errno.None;

    /// <summary>Throws if it failed.</summary>
    /// <returns>This result.</returns>
    /// <exception cref="IommufdException">It failed.</exception>
    public FileResult ThrowIfFailed() => Succeeded ? this : throw new IommufdException(Operation, Errno, Diagnostic);
}
