namespace IommuFd.GrainInterfaces;

/// <summary>Why an ioctl failed.</summary>
public enum DiagnosticReason
{
    /// <summary>No reason was given.</summary>
    None = 0,

    /// <summary>EBADF: the handle names no open context.</summary>
    ContextNotOpen,

    /// <summary>EEXIST: the handle already names an open context.</summary>
    ContextAlreadyOpen,

    /// <summary>EBADF: the context has no such reference, or one of the wrong kind.</summary>
    ReferenceNotFound,

    /// <summary>ENOTTY: the number lies outside iommufd's table. <c>Value</c> is the ioctl number.</summary>
    UnknownNumber,

    /// <summary>ENOTTY: the number lies in the table, but no command has exactly this ioctl number. <c>Value</c> is the ioctl number.</summary>
    UnknownCommand,

    /// <summary>EFAULT: the argument can't be read. <c>Value</c> is the number of bytes that can, <c>Limit</c> the number needed.</summary>
    ArgumentUnreadable,

    /// <summary>EFAULT: the answer can't be written. <c>Value</c> is the number of bytes that can, <c>Limit</c> the number needed.</summary>
    ArgumentUnwritable,

    /// <summary>EINVAL: <c>size</c> is <c>Value</c>, below the smallest, <c>Limit</c>.</summary>
    ArgumentTooShort,

    /// <summary>E2BIG: a byte behind the known struct of <c>Limit</c> bytes is not zero. <c>Value</c> is the size passed.</summary>
    UnknownBytesNotZero,

    /// <summary>EOPNOTSUPP: reserved room is not zero. <c>Value</c> is what it has.</summary>
    ReservedNotZero,

    /// <summary>EOPNOTSUPP: a flag that the command doesn't know. <c>Value</c> has the flags.</summary>
    UnsupportedFlags,

    /// <summary>EOPNOTSUPP: an op that the command doesn't know. <c>Value</c> is the op.</summary>
    UnsupportedOp,

    /// <summary>EOPNOTSUPP: an option that isn't known. <c>Value</c> is the option.</summary>
    UnsupportedOption,

    /// <summary>EOPNOTSUPP: the option belongs to the context, so <c>object_id</c> must be 0.</summary>
    OptionTakesNoObject,

    /// <summary>EINVAL: the option can't have this value. <c>Value</c> is the value.</summary>
    InvalidOptionValue,

    /// <summary>EOPNOTSUPP: this version answers the command only up to here.</summary>
    NotImplemented,

    /// <summary>ENOENT: no object has the id.</summary>
    ObjectNotFound,

    /// <summary>ENOENT: the object is of another kind than the command needs.</summary>
    ObjectOfOtherType,

    /// <summary>EBUSY: the object is held.</summary>
    ObjectHeld,

    /// <summary>EBUSY: the context has objects; they are listed as holders.</summary>
    ContextHasObjects,

    /// <summary>ENODEV: no compatibility IOAS is set.</summary>
    NoCompatIoas,

    /// <summary>ENOENT: the context has no such hold. <c>Value</c> is the hold.</summary>
    HoldNotFound,

    /// <summary>EINVAL: a name is empty or longer than <see cref="IoctlLimits.MaxNameLength"/>, or a kind or mode is unknown.</summary>
    InvalidName,

    /// <summary>EBUSY: every id is taken, which an xarray answers so.</summary>
    NoFreeId,

    /// <summary>E2BIG: the request is larger than the service accepts. <c>Value</c> is its size, <c>Limit</c> the bound.</summary>
    RequestTooLarge,

    /// <summary>EINVAL: a mapping must be readable or writeable. <c>Value</c> has the flags.</summary>
    MappingWithoutAccess,

    /// <summary>EOVERFLOW: an IOVA or a length is 2^64 - 1, or together they pass 2^64. <c>Value</c> is where it starts, <c>Limit</c> its bytes.</summary>
    RangeOverflow,

    /// <summary>EINVAL: <c>Limit</c> is the alignment that IOVA, length and offset in the page must have; <c>Value</c> is the IOVA or the length.</summary>
    Misaligned,

    /// <summary>EINVAL: the length is 0.</summary>
    EmptyRange,

    /// <summary>EEXIST: an area is in the way, <c>Overlap</c>. <c>Value</c> is the IOVA asked for.</summary>
    AreaInTheWay,

    /// <summary>EINVAL or EADDRINUSE: a reserved range is in the way, <c>Overlap</c>. <c>Value</c> is the IOVA asked for.</summary>
    ReservedInTheWay,

    /// <summary>EADDRINUSE: an allowed range is in the way, <c>Overlap</c>.</summary>
    AllowedInTheWay,

    /// <summary>ENOSPC: no hole is large enough. <c>Value</c> is the bytes asked for, <c>Limit</c> the largest hole.</summary>
    NoHole,

    /// <summary>ENOENT: the range is not mapped as a whole. <c>Value</c> is its first IOVA, <c>Limit</c> its bytes; <c>Overlap</c> the nearest area, if any.</summary>
    RangeNotMapped,

    /// <summary>EBADF: the file descriptor <c>Value</c> isn't open.</summary>
    FileNotOpen,

    /// <summary>EPERM: what was mapped for reading only can't be copied for writing.</summary>
    PagesNotWritable,

    /// <summary>EINVAL: a range of the list is empty, descends or overlaps another.</summary>
    InvalidRangeList,

    /// <summary>EFAULT: a buffer can't be accessed. <c>Value</c> is the bytes that can, <c>Limit</c> the bytes needed.</summary>
    BufferFault,

    /// <summary>EMSGSIZE: the array has room for <c>Value</c> entries, there are <c>Limit</c>.</summary>
    ArrayTooSmall,

    /// <summary>EADDRINUSE: large pages can't be forbidden, an area is not aligned to pages.</summary>
    UnalignedAreas,

    /// <summary>EINVAL: an IOAS maps memory of a process, only files can change theirs.</summary>
    MapsProcessMemory,

    /// <summary>EIO: the object's grain did not answer, or has lost its state.</summary>
    ObjectUnreachable,

    /// <summary>EBUSY: the device <c>ObjectId</c> is attached already.</summary>
    DeviceAttached,

    /// <summary>EINVAL: the device <c>ObjectId</c> is not attached.</summary>
    DeviceNotAttached,

    /// <summary>EINVAL: devices of the same IOMMU group are attached to the HWPT <c>ObjectId</c>.</summary>
    GroupAttachedElsewhere,

    /// <summary>EINVAL: the object <c>ObjectId</c> is neither an IOAS nor a page table.</summary>
    NotAPageTable,

    /// <summary>EINVAL: the IOMMU in front of the device can't use the page table.</summary>
    DeviceIncompatible,

    /// <summary>EINVAL: where PASIDs are attached, the HWPT <c>ObjectId</c> must be one that was allocated for that.</summary>
    PasidIncompatible,

    /// <summary>EOPNOTSUPP: the IOMMU in front of the device has no page table with the flags <c>Value</c>, or no such data.</summary>
    IommuLacksFeature,

    /// <summary>ENODEV: there is no such IOMMU driver.</summary>
    UnknownIommu,

    /// <summary>EINVAL: a device is not well described.</summary>
    InvalidDevice,

    /// <summary>EINVAL: a data type and a data length must be given together. <c>Value</c> is the type, <c>Limit</c> the length.</summary>
    InvalidDataLength,

    /// <summary>EINVAL: a page table can only be nested on a HWPT that was allocated as a nest parent.</summary>
    NotNestParent,

    /// <summary>EFAULT or EINVAL: memory behind <c>Overlap</c> isn't there, isn't writable, or is a file that is no memfd.</summary>
    MemoryNotPinnable,

    /// <summary>EADDRINUSE: what is mapped or allowed lies outside the page table's aperture, in <c>Overlap</c>.</summary>
    OutsideAperture,

    /// <summary>EADDRINUSE: an area is not aligned to <c>Limit</c> bytes.</summary>
    AreasMisaligned,

    /// <summary>EOPNOTSUPP: the HWPT was not allocated with dirty tracking.</summary>
    DirtyTrackingUnsupported,

    /// <summary>EINVAL: dirty tracking is not enabled.</summary>
    DirtyTrackingDisabled,

    /// <summary>EINVAL: the range is empty, or not whole pages of <c>Limit</c> bytes. <c>Value</c> is its first IOVA.</summary>
    InvalidDirtyRange,

    /// <summary>EBADFD: the file descriptor <c>Value</c> is no access of an open context.</summary>
    NotAnAccess,

    /// <summary>EOPNOTSUPP or EINVAL: the access <c>ObjectId</c> was not made to pin pages.</summary>
    AccessDoesNotPin,

    /// <summary>ENOENT or EINVAL: the access <c>ObjectId</c> is not attached to an IOAS.</summary>
    AccessNotAttached,

    /// <summary>EINVAL: the access <c>ObjectId</c> is attached already.</summary>
    AccessAttached,

    /// <summary>EMFILE: the ioctl opens a file, and the caller's memory has no descriptor for it.</summary>
    NoFreeDescriptor,

    /// <summary>EPERM: an area does not permit this access. <c>Value</c> is the first IOVA.</summary>
    AccessDenied,

    /// <summary>ENOENT: the access has no pin <c>Value</c>.</summary>
    PinNotFound,

    /// <summary>EBADE or EINVAL: the memory behind the IOVA <c>Value</c> is not what it should be.</summary>
    UnexpectedPages,

    /// <summary>EIO: the page at <c>Value</c> is not pinned as often as it should be. <c>Limit</c> is how often it is.</summary>
    UnexpectedPinCount,

    /// <summary>EINVAL: the cache entry has <c>Value</c>.</summary>
    UnexpectedCache,

    /// <summary>EINVAL: the object <c>ObjectId</c> is its driver's own, nobody else can hold it.</summary>
    LeafObject,

    /// <summary>EIO: the context's journal is damaged at record <c>Value</c>, or its snapshot is, where that is 0. Nothing of the context is changed any more.</summary>
    JournalDamaged,

    /// <summary>EIO: doing record <c>Value</c> of the context's journal again gave another answer than was journaled: it was written by a version that differs.</summary>
    JournalDiverged,

    /// <summary>EOPNOTSUPP: the silo has no journal, and so no durable contexts.</summary>
    NoJournal,

    /// <summary>EBADF: the request's session has no reference to the context: it was closed, or its lease is over.</summary>
    SessionNotFound,

    /// <summary>ESTALE: the request <c>Value</c> of its session was settled already: its caller has its answer, or has given it up.</summary>
    OperationSettled,

    /// <summary>ENOMEM: the session has <c>Limit</c> requests under way already.</summary>
    TooManyUnsettled,

    /// <summary>ENOMEM: the context has <c>Limit</c> objects already, or as many areas.</summary>
    TooManyObjects,

    /// <summary>EMFILE: there are <c>Limit</c> references or contexts of one opener already.</summary>
    TooManyReferences,

    /// <summary>EIO: the grain of <c>ObjectId</c> counts <c>Value</c> users, the context's table <c>Limit</c>. A bug of the service: the object stays.</summary>
    UsersDisagree,
}
