using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>Page faults that a device waits for together, as they were read from a fault queue. The device goes on when the group is answered.</summary>
/// <param name="Cookie">Names the group in the response.</param>
/// <param name="Device">The device.</param>
/// <param name="Pasid">The PASID of the accesses; null for accesses without one.</param>
/// <param name="Faults">The faults, at least 1.</param>
public sealed record PageFaultGroup(uint Cookie, ObjectId Device, uint? Pasid, IReadOnlyList<IommuHwptPgfault> Faults);
