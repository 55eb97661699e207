using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.EventQueues;

namespace IommuFd.Grains.Objects.FaultQueues;

/// <summary>A fault queue in its context's table. It holds nothing; the HWPTs whose page faults go there hold it, and its file.</summary>
internal sealed class FaultQueueEntry(ObjectId id, long serial) : EventQueueEntry(id, FaultQueueKind.Instance, serial);
