using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>Resolves the tag that people see to the context's handle, inside the cluster only: clients can't call it.</summary>
public interface IContextFinder
{
    /// <summary>Finds an open context by its tag, on any silo.</summary>
    /// <param name="tag">The tag.</param>
    /// <param name="cancellationToken">Ends the search early.</param>
    /// <returns>Its handle, which must never be shown; null if no silo has such a context.</returns>
    Task<ContextHandle?> FindAsync(ContextTag tag, CancellationToken cancellationToken);
}
