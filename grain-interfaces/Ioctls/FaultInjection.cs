using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>
/// Makes an ioctl fail at one of its failure points, so that a program's error paths can be tested: the places at which the service can run
/// out of what it needs. What the ioctl has done before that point is undone, as always.
/// </summary>
/// <param name="Point">Which of the points that the ioctl passes, from 1.</param>
/// <param name="Errno">What it answers there; the kernel's own fault injection makes it ENOMEM.</param>
[GenerateSerializer, Immutable, Alias("IommuFd.FaultInjection")]
public sealed record FaultInjection([property: Id(0)] uint Point, [property: Id(1)] Errno Errno);
