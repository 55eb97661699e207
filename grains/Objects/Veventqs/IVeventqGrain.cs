using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;

namespace IommuFd.Grains.Objects.Veventqs;

/// <summary>A vIOMMU's event queue: what a guest's IOMMU has to tell the guest.</summary>
[Alias("IommuFd.IVeventqGrain")]
internal interface IVeventqGrain : IEventQueueGrain
{
    /// <summary>Adds an event, which is lost where the queue is full: a reader learns that some were lost (<c>iommufd_viommu_report_event</c>).</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="data">The event.</param>
    /// <returns>ENOMEM where the queue has less room than its depth says; the event is lost then too.</returns>
    [Alias("Report")]
    ValueTask<ObjectReply> ReportAsync(ObjectStamp stamp, byte[] data);
}

/// <summary>What an event queue is built of.</summary>
/// <param name="Depth">Events that it holds at most.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.VeventqBuild")]
internal sealed record VeventqBuild([property: Id(0)] uint Depth) : ObjectBuild;
