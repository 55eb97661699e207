using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.EventQueues;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.FaultQueues;

/// <summary>A fault queue: the groups of page faults that devices wait for an answer to.</summary>
[Alias("IommuFd.IFaultQueueGrain")]
internal interface IFaultQueueGrain : IEventQueueGrain
{
    /// <summary>Adds a group.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="group">The group.</param>
    /// <returns>ENOMEM where the queue has as many page faults as it can.</returns>
    [Alias("Report")]
    ValueTask<ObjectReply> ReportAsync(ObjectStamp stamp, FaultGroup group);

    /// <summary>Answers every group of a device's attachment as invalid, since the device leaves the page table (<c>iommufd_auto_response_faults</c>).</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="device">The device.</param>
    /// <param name="pasid">The PASID that was attached; 0 for the device itself.</param>
    /// <returns>How many groups there were.</returns>
    [Alias("Discard")]
    ValueTask<ObjectReply> DiscardAsync(ObjectStamp stamp, ObjectId device, uint pasid);

    /// <summary>Takes the response to a group that a device waits for.</summary>
    /// <param name="stamp">The life that is meant.</param>
    /// <param name="device">The device.</param>
    /// <param name="group">The group's number, by the device's own counting.</param>
    /// <returns>The response's code; EAGAIN where there is none yet, ENOENT where the group is not here.</returns>
    [Alias("TakeResponse")]
    ValueTask<ObjectReply> TakeResponseAsync(ObjectStamp stamp, ObjectId device, uint group);
}

/// <summary>The response that a device has waited for and not taken.</summary>
/// <param name="Device">The device.</param>
/// <param name="Group">The number of the fault's group, by the device's own counting.</param>
/// <param name="Attachment">The PASID whose attachment led to the queue; 0 for the device itself.</param>
/// <param name="Code">The response.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultResponse")]
internal readonly record struct FaultResponse(
    [property: Id(0)] ObjectId Device, [property: Id(1)] uint Group, [property: Id(2)] uint Attachment, [property: Id(3)] IommuPageResponseCode Code);

/// <summary>A group of page faults, which are read and answered together.</summary>
/// <param name="Device">The device.</param>
/// <param name="Pasid">The PASID whose attachment led to the queue; 0 for the device itself.</param>
/// <param name="Records">The page faults as they are read, one <see cref="Uapi.IommuHwptPgfault"/> after the other, without a cookie.</param>
/// <param name="IsAwaited">Whether the device takes the response.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultGroup")]
internal sealed record FaultGroup(
    [property: Id(0)] ObjectId Device, [property: Id(1)] uint Pasid, [property: Id(2)] byte[] Records, [property: Id(3)] bool IsAwaited = false);
