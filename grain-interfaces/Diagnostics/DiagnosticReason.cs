namespace IommuFd.GrainInterfaces;

/// <summary>Why an ioctl failed. Each reason says what <see cref="IoctlDiagnostic"/>'s <c>Value</c>, <c>Limit</c>, <c>ObjectId</c> and <c>Overlap</c> are, where it sets them.</summary>
public enum DiagnosticReason
{
    /// <summary>No reason was given.</summary>
    None = 0,

    /// <summary>EBADF: the handle names no open context.</summary>
    ContextNotOpen,

    /// <summary>EEXIST: the handle already names an open context.</summary>
    ContextAlreadyOpen,

    /// <summary>EBADF: the context has no such reference, or one of another kind.</summary>
    ReferenceNotFound,

    /// <summary>ENOTTY: the number is outside iommufd's table. <c>Value</c> is the ioctl number.</summary>
    UnknownNumber,

    /// <summary>ENOTTY: the number is in the table, but no command has exactly this ioctl number. <c>Value</c> is the ioctl number.</summary>
    UnknownCommand,

    /// <summary>EFAULT: the argument can't be read. <c>Value</c> is how many bytes can be read, <c>Limit</c> how many are needed.</summary>
    ArgumentUnreadable,

    /// <summary>EFAULT: the answer can't be written. <c>Value</c> is how many bytes can be written, <c>Limit</c> how many are needed.</summary>
    ArgumentUnwritable,

    /// <summary>EINVAL: <c>size</c> is <c>Value</c>, less than the command's minimum, <c>Limit</c>.</summary>
    ArgumentTooShort,

    /// <summary>E2BIG: a byte beyond the known struct of <c>Limit</c> bytes is not zero. <c>Value</c> is the size passed.</summary>
    UnknownBytesNotZero,

    /// <summary>EOPNOTSUPP: a reserved field is not zero. <c>Value</c> is the field.</summary>
    ReservedNotZero,

    /// <summary>EOPNOTSUPP: the command does not know a flag. <c>Value</c> has the flags.</summary>
    UnsupportedFlags,

    /// <summary>EOPNOTSUPP: the command does not know the op. <c>Value</c> is the op.</summary>
    UnsupportedOp,

    /// <summary>EOPNOTSUPP: the option is unknown. <c>Value</c> is the option.</summary>
    UnsupportedOption,

    /// <summary>EOPNOTSUPP: the option belongs to the context, so <c>object_id</c> must be 0.</summary>
    OptionTakesNoObject,

    /// <summary>EINVAL: the option can't have this value. <c>Value</c> is the value.</summary>
    InvalidOptionValue,

    /// <summary>EOPNOTSUPP: the command passed its checks, but this version does not implement it.</summary>
    NotImplemented,

    /// <summary>ENOENT: no object has the id <c>ObjectId</c>.</summary>
    ObjectNotFound,

    /// <summary>ENOENT: the object <c>ObjectId</c> is of another kind than the command needs.</summary>
    ObjectOfOtherType,

    /// <summary>EBUSY: the object <c>ObjectId</c> has holders.</summary>
    ObjectHeld,

    /// <summary>EBUSY: the context has objects, which are listed as holders.</summary>
    ContextHasObjects,

    /// <summary>ENODEV: no compatibility IOAS is set.</summary>
    NoCompatIoas,

    /// <summary>ENOENT: the context has no such hold. <c>Value</c> is the hold.</summary>
    HoldNotFound,

    /// <summary>EINVAL: a name is empty or longer than <see cref="IoctlLimits.MaxNameLength"/>, or a kind or mode is unknown.</summary>
    InvalidName,

    /// <summary>EBUSY: every id is taken; the errno is that of the kernel's xarray.</summary>
    NoFreeId,

    /// <summary>E2BIG or ENOMEM: the request is larger than the service accepts. <c>Value</c> is its size in bytes, <c>Limit</c> the limit.</summary>
    RequestTooLarge,

    /// <summary>EINVAL: the mapping is neither readable nor writeable. <c>Value</c> has the flags.</summary>
    MappingWithoutAccess,

    /// <summary>EOVERFLOW: an IOVA or a length is 2^64 - 1, or together they pass 2^64. <c>Value</c> is the first IOVA or address, <c>Limit</c> the length.</summary>
    RangeOverflow,

    /// <summary>EINVAL: IOVA, length and offset in the page must be aligned to <c>Limit</c> bytes. <c>Value</c> is the IOVA or the length.</summary>
    Misaligned,

    /// <summary>EINVAL: the length is 0.</summary>
    EmptyRange,

    /// <summary>EEXIST or EADDRINUSE: the area <c>Overlap</c> is in the way. <c>Value</c> is the IOVA asked for.</summary>
    AreaInTheWay,

    /// <summary>EINVAL or EADDRINUSE: the reserved range <c>Overlap</c> is in the way. <c>Value</c> is the IOVA asked for.</summary>
    ReservedInTheWay,

    /// <summary>EADDRINUSE: <c>Overlap</c> can't be reserved, since automatic IOVAs are allowed there.</summary>
    AllowedInTheWay,

    /// <summary>ENOSPC: no hole is large enough. <c>Value</c> is the bytes asked for, <c>Limit</c> the largest hole.</summary>
    NoHole,

    /// <summary>ENOENT: the range is not mapped as whole areas. <c>Value</c> is its first IOVA, <c>Limit</c> its bytes, <c>Overlap</c> the nearest area, if any.</summary>
    RangeNotMapped,

    /// <summary>EBADF: the file descriptor is not open.</summary>
    FileNotOpen,

    /// <summary>EPERM: memory that is mapped for reading only can't be copied to a writeable mapping.</summary>
    PagesNotWritable,

    /// <summary>EINVAL: a range of the list does not end after its start, or overlaps another.</summary>
    InvalidRangeList,

    /// <summary>EFAULT: a buffer can't be accessed. <c>Value</c> is how many bytes can be, <c>Limit</c> how many are needed.</summary>
    BufferFault,

    /// <summary>EMSGSIZE: the array has room for <c>Value</c> entries, there are <c>Limit</c>.</summary>
    ArrayTooSmall,

    /// <summary>EADDRINUSE: huge pages can't be switched off, since an area is not aligned to pages.</summary>
    UnalignedAreas,

    /// <summary>EINVAL: an IOAS maps process memory; only mappings of files can move to another process.</summary>
    MapsProcessMemory,

    /// <summary>EIO: the grain of the object <c>ObjectId</c> did not answer, or has lost its state.</summary>
    ObjectUnreachable,

    /// <summary>EBUSY: the device <c>ObjectId</c> is already attached.</summary>
    DeviceAttached,

    /// <summary>EINVAL: the device <c>ObjectId</c> is not attached.</summary>
    DeviceNotAttached,

    /// <summary>EINVAL: devices of the same IOMMU group are attached to the HWPT <c>ObjectId</c>.</summary>
    GroupAttachedElsewhere,

    /// <summary>EINVAL: the object <c>ObjectId</c> is neither an IOAS nor a page table.</summary>
    NotAPageTable,

    /// <summary>EINVAL: the device's IOMMU can't use the page table of the HWPT <c>ObjectId</c>.</summary>
    DeviceIncompatible,

    /// <summary>EINVAL: a PASID, or a device beside PASIDs, can only be attached to a HWPT that was allocated for PASIDs. <c>ObjectId</c> is another.</summary>
    PasidIncompatible,

    /// <summary>EOPNOTSUPP: the device's IOMMU has no page table with the flags <c>Value</c>, or none with this data.</summary>
    IommuLacksFeature,

    /// <summary>ENODEV: no IOMMU driver has this name.</summary>
    UnknownIommu,

    /// <summary>EINVAL: the description of the device is not valid.</summary>
    InvalidDevice,

    /// <summary>EINVAL: only one of data type and data length is 0. <c>Value</c> is the type, <c>Limit</c> the length.</summary>
    InvalidDataLength,

    /// <summary>EINVAL: a page table is to be nested on the HWPT <c>ObjectId</c>, which was not allocated as a nest parent.</summary>
    NotNestParent,

    /// <summary>EFAULT or EINVAL: memory behind <c>Overlap</c> is missing, read-only, or a file that is not a memfd.</summary>
    MemoryNotPinnable,

    /// <summary>EADDRINUSE: something in <c>Overlap</c>, which lies outside the page table's aperture, is mapped or allowed.</summary>
    OutsideAperture,

    /// <summary>EADDRINUSE: an area is not aligned to <c>Limit</c> bytes.</summary>
    AreasMisaligned,

    /// <summary>EOPNOTSUPP: the HWPT <c>ObjectId</c> was allocated without dirty tracking.</summary>
    DirtyTrackingUnsupported,

    /// <summary>EINVAL: dirty tracking of the HWPT <c>ObjectId</c> is not enabled.</summary>
    DirtyTrackingDisabled,

    /// <summary>EINVAL: the range is empty, or not a multiple of pages of <c>Limit</c> bytes. <c>Value</c> is its first IOVA.</summary>
    InvalidDirtyRange,

    /// <summary>EBADFD: the file descriptor <c>Value</c> is not an access of an open context.</summary>
    NotAnAccess,

    /// <summary>EOPNOTSUPP or EINVAL: the access <c>ObjectId</c> was not created to pin pages.</summary>
    AccessDoesNotPin,

    /// <summary>ENOENT or EINVAL: the access <c>ObjectId</c> is not attached to an IOAS.</summary>
    AccessNotAttached,

    /// <summary>EINVAL: the access <c>ObjectId</c> is already attached.</summary>
    AccessAttached,

    /// <summary>EMFILE: the ioctl opens a file, and the caller's memory has no free file descriptor.</summary>
    NoFreeDescriptor,

    /// <summary>EPERM: the area does not permit this access. <c>Value</c> is the first IOVA.</summary>
    AccessDenied,

    /// <summary>ENOENT: the access has no pin <c>Value</c>, or an unmap has revoked it.</summary>
    PinNotFound,

    /// <summary>EBADE or EINVAL: the memory behind the IOVA <c>Value</c> is not the expected memory.</summary>
    UnexpectedPages,

    /// <summary>EIO: the page at <c>Value</c> has <c>Limit</c> pins; another number was expected.</summary>
    UnexpectedPinCount,

    /// <summary>EINVAL: the cache has no such entry, or the entry is <c>Value</c>.</summary>
    UnexpectedCache,

    /// <summary>EINVAL: the object <c>ObjectId</c> belongs to the driver that made it; no other can hold it.</summary>
    LeafObject,

    /// <summary>EIO: the context's journal is damaged at record <c>Value</c>, or in its snapshot where that is 0. The context is stopped.</summary>
    JournalDamaged,

    /// <summary>EIO: replaying record <c>Value</c> of the context's journal gave another answer than the journaled one, which another version wrote. The context is stopped.</summary>
    JournalDiverged,

    /// <summary>EOPNOTSUPP: the silo has no journal, and so no durable contexts.</summary>
    NoJournal,

    /// <summary>EBADF: the request's session has no reference to the context: it was closed, or its lease expired.</summary>
    SessionNotFound,

    /// <summary>ESTALE: the request <c>Value</c> of its session was settled before it arrived: its caller has its answer, or has given up.</summary>
    OperationSettled,

    /// <summary>ENOMEM: the session already has <c>Limit</c> requests under way.</summary>
    TooManyUnsettled,

    /// <summary>ENOMEM: the context already has <c>Limit</c> objects, or <c>Limit</c> areas and ranges.</summary>
    TooManyObjects,

    /// <summary>EMFILE or ENFILE: the context already has <c>Limit</c> references, or its opener or the silo <c>Limit</c> contexts.</summary>
    TooManyReferences,

    /// <summary>EIO: the grain of <c>ObjectId</c> counts <c>Value</c> users, the context's table <c>Limit</c>. A bug of the service: the object stays.</summary>
    UsersDisagree,

    /// <summary>E2BIG: a batch of <c>Value</c> ioctls is longer than <c>Limit</c>.</summary>
    BatchTooLong,

    /// <summary>ENOMEM: the answers kept for the session exceed <c>Limit</c> bytes.</summary>
    TooManyUnsettledBytes,

    /// <summary>ENOMEM: the pinned pages of the range are in more than <c>Limit</c> runs.</summary>
    TooManyPinnedRuns,

    /// <summary>ENOENT: <c>ObjectId</c> has no vDevice on the vIOMMU <c>Value</c>, whose nested HWPT it is to be attached to.</summary>
    NoVdevice,

    /// <summary>EEXIST: the device <c>ObjectId</c> has a vDevice already.</summary>
    DeviceHasVdevice,

    /// <summary>EEXIST: the vIOMMU has a vDevice with the id <c>Value</c> already.</summary>
    VirtualIdTaken,

    /// <summary>EEXIST: the vIOMMU has an event queue of the kind <c>Value</c> already, <c>ObjectId</c>.</summary>
    VeventqTypeTaken,

    /// <summary>EINVAL: the device <c>ObjectId</c> is behind another IOMMU.</summary>
    OtherIommu,

    /// <summary>EINVAL, EEXIST or EIO: the vIOMMU can't have a hardware queue with the index <c>Value</c>: it is not below <c>Limit</c>, taken, or the queue before it is missing.</summary>
    QueueIndexUnusable,

    /// <summary>EOPNOTSUPP: the IOMMU has no vIOMMU, event queue or hardware queue of the kind <c>Value</c>.</summary>
    UnsupportedKind,

    /// <summary>EFAULT: the memory of a hardware queue is not contiguous at the IOVA <c>Value</c>.</summary>
    MemoryNotContiguous,

    /// <summary>EBUSY: an object needs what is mapped at <c>Overlap</c>: it can't be unmapped.</summary>
    AreaLocked,

    /// <summary>EINVAL: <c>ObjectId</c> can't be invalidated: only a nested HWPT or a vIOMMU can.</summary>
    NotInvalidatable,

    /// <summary>EINVAL, EOPNOTSUPP, E2BIG, EFAULT or EIO: the entry <c>Value</c> of the invalidation can't be carried out; those before it were.</summary>
    InvalidEntry,

    /// <summary>EINVAL: the entries of an invalidation are of the kind <c>Value</c>, which the object does not take.</summary>
    WrongEntryKind,

    /// <summary>EINVAL: an invalidation of <c>Value</c> entries has no address for them, or entries of length 0.</summary>
    NoEntries,

    /// <summary>EINVAL: the cache has no such entry, or the entry is <c>Value</c>.</summary>
    UnexpectedIotlb,

    /// <summary>EINVAL: the PASID is attached to <c>ObjectId</c>; id 0 for nothing.</summary>
    UnexpectedHwpt,

    /// <summary>ENOENT: the device <c>ObjectId</c> has no vIOMMU that its events could go to.</summary>
    NoViommu,

    /// <summary>EOPNOTSUPP: the vIOMMU <c>ObjectId</c> has no queue for events of this kind.</summary>
    NoVeventq,

    /// <summary>ENOMEM: the queue <c>ObjectId</c> has <c>Limit</c> entries already.</summary>
    QueueFull,

    /// <summary>ESPIPE: <c>Value</c> bytes are not a multiple of <c>Limit</c>, the length of the file's records.</summary>
    PartialRecord,

    /// <summary>EINVAL: no group of page faults that was read and not answered has the cookie <c>Value</c>.</summary>
    CookieNotFound,

    /// <summary>EINVAL: <c>Value</c> is no response code.</summary>
    InvalidResponseCode,

    /// <summary>EINVAL: a file that leads to <c>ObjectId</c> can't be read, or can't be written.</summary>
    FileOperationUnsupported,

    /// <summary>EBADF: the file leads to no object of an open context, or was closed.</summary>
    FileLeadsNowhere,

    /// <summary>EINVAL: <c>Value</c> bytes are no event of the IOMMU in front of the device <c>ObjectId</c>.</summary>
    InvalidEvent,

    /// <summary>ENOMEM: the emulated device fails the replacement of this PASID once, as Linux's selftest wants it.</summary>
    SelftestFailure,

    /// <summary>EINVAL: a group must have 1 to <c>Limit</c> page faults with one PASID and one group number.</summary>
    InvalidFaultGroup,

    /// <summary>E2BIG: the answers to the batch could have <c>Value</c> bytes, <c>Limit</c> is the limit. Nothing of the batch ran.</summary>
    AnswerTooLarge,

    /// <summary>ENOMEM: <c>Value</c> bytes are in more than <c>Limit</c> areas.</summary>
    TooManyPieces,

    /// <summary>ENOMEM: the IOAS has <c>Value</c> ranges, which are more than the <c>Limit</c> that one reply carries.</summary>
    TooManyRanges,
}
