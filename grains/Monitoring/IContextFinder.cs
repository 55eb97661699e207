using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Monitoring;

/// <summary>Leads from the tag that people see to the context, within the cluster only: no client can ask for it.</summary>
public interface IContextFinder
{
    /// <summary>Finds an open context by its tag, on whichever silo it is.</summary>
    /// <param name="tag">The tag.</param>
    /// <param name="cancellationToken">Ends the search early.</param>
    /// <returns>Its handle, which must be shown to nobody; null where no silo has such a context.</returns>
    Task<ContextHandle?> FindAsync(ContextTag tag, CancellationToken cancellationToken);
}
