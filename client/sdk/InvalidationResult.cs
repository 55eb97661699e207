using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>The answer to an invalidation of caches. A failing invalidation has carried out the entries before the one that failed.</summary>
/// <param name="Handled">How many entries were carried out, in order from the first.</param>
/// <param name="Errno">0 if all were.</param>
/// <param name="Diagnostic">Why the next entry failed; null on success.</param>
public readonly record struct InvalidationResult(int Handled, Errno Errno, IoctlDiagnostic? Diagnostic)
{
    /// <summary>Whether all entries were carried out.</summary>
    public bool Succeeded => Errno == Errno.None;

    /// <summary>Throws if an entry failed.</summary>
    /// <returns>This result.</returns>
    /// <exception cref="IommufdException">An entry failed, or none could be carried out.</exception>
    public InvalidationResult ThrowIfFailed() => Succeeded ? this : throw new IommufdException((uint)IommuCommand.HwptInvalidate, Errno, Diagnostic);
}
