using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Client;

/// <summary>What an access of a device is translated to: all of it, or nothing.</summary>
/// <param name="Errno">
/// 0, or the fault: EINVAL if the device or its PASID is not attached, ENOENT if an IOVA is not mapped, EPERM if it does not permit the access, EOVERFLOW past the last
/// IOVA, EOPNOTSUPP by a guest's page table. ENOMEM is no fault: the access is in too many pieces for one request.
/// </param>
/// <param name="Memory">The memory, in the order of the IOVAs; empty on failure.</param>
/// <param name="IsReported">Whether the fault waits in a fault queue for a response.</param>
/// <param name="Diagnostic">Why it failed; null on success.</param>
public readonly record struct DmaTranslation(Errno Errno, IReadOnlyList<UserMemoryPiece> Memory, bool IsReported, IoctlDiagnostic? Diagnostic);
