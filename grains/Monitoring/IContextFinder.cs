using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>Finds the context that people see by a tag, inside the cluster only: clients can't call it.</summary>
public interface IContextFinder
{
    /// <summary>Finds an open context by its tag, on any silo.</summary>
    /// <param name="tag">The tag.</param>
    /// <param name="cancellationToken">Ends the search early.</param>
    /// <returns>Its control; null if no silo has such a context.</returns>
    Task<ContextControl?> FindAsync(ContextTag tag, CancellationToken cancellationToken);
}
