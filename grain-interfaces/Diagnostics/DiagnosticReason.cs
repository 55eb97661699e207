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

    /// <summary>EOPNOTSUPP or EINVAL: the command does not know the flags <c>Value</c>; those that it knows are left out.</summary>
    UnsupportedFlags,

    /// <summary>EOPNOTSUPP: the command does not know the op. <c>Value</c> is the op.</summary>
    UnsupportedOp,

    /// <summary>EOPNOTSUPP: the option is unknown. <c>Value</c> is the option.</summary>
    UnsupportedOption,

    /// <summary>EOPNOTSUPP: the option belongs to the context, so <c>object_id</c> must be 0.</summary>
    OptionTakesNoObject,

    /// <summary>EINVAL: the option can't have the value <c>Value</c>. <c>Limit</c> is the least that it can have; 0 where it can be 0 or 1.</summary>
    InvalidOptionValue,

    /// <summary>EOPNOTSUPP: the command passed its checks, but this version does not implement it.</summary>
    NotImplemented,

    /// <summary>ENOENT, or EINVAL of what a HWPT is to be allocated on: no object has the id <c>ObjectId</c>.</summary>
    ObjectNotFound,

    /// <summary>ENOENT: the object <c>ObjectId</c> is of another kind than the command needs.</summary>
    ObjectOfOtherType,

    /// <summary>EBUSY: the object <c>ObjectId</c> has holders.</summary>
    ObjectHeld,

    /// <summary>EBUSY: the context has objects, which are listed as holders.</summary>
    ContextHasObjects,

    /// <summary>ENODEV: no compatibility IOAS is set.</summary>
    NoCompatIoas,

    /// <summary>ENOENT: the driver has no such hold. <c>Value</c> is the hold.</summary>
    HoldNotFound,

    /// <summary>EINVAL: a name is empty or longer than <see cref="IoctlLimits.MaxNameLength"/>, or a kind or mode is unknown.</summary>
    InvalidName,

    /// <summary>EBUSY: every id is taken; the errno is that of the kernel's xarray.</summary>
    NoFreeId,

    /// <summary>E2BIG or ENOMEM: the request is larger than the service accepts. <c>Value</c> is its size in bytes, <c>Limit</c> the limit.</summary>
    RequestTooLarge,

    /// <summary>EINVAL: the mapping is neither readable nor writeable. <c>Value</c> has the flags.</summary>
    MappingWithoutAccess,

    /// <summary>EOVERFLOW: a first IOVA, <c>Value</c>, and a length, <c>Limit</c>, pass the last IOVA.</summary>
    RangeOverflow,

    /// <summary>EINVAL: the IOVA <c>Value</c> must be aligned to <c>Limit</c> bytes.</summary>
    Misaligned,

    /// <summary>EINVAL: the length is 0.</summary>
    EmptyRange,

    /// <summary>EEXIST or EADDRINUSE: the area <c>Overlap</c> is in the way. <c>Value</c> and <c>Limit</c> are the first and the last IOVA asked for.</summary>
    AreaInTheWay,

    /// <summary>EINVAL or EADDRINUSE: the reserved range <c>Overlap</c> is in the way. <c>Value</c> and <c>Limit</c> are the first and the last IOVA asked for.</summary>
    ReservedInTheWay,

    /// <summary>EADDRINUSE: <c>Value</c> and <c>Limit</c>, the first and the last IOVA, can't be reserved, since automatic IOVAs are allowed in <c>Overlap</c>.</summary>
    AllowedInTheWay,

    /// <summary>ENOSPC: no hole is large enough, or none is at the alignment of the memory. <c>Value</c> is the bytes asked for, <c>Limit</c> the largest hole, whatever its alignment.</summary>
    NoHole,

    /// <summary>ENOENT: nothing in the range is mapped. <c>Value</c> is its first IOVA, <c>Limit</c> its bytes, <c>Overlap</c> the nearest area, if any.</summary>
    RangeNotMapped,

    /// <summary>EBADF: the file descriptor is not open.</summary>
    FileNotOpen,

    /// <summary>EPERM: memory that was mapped for reading only, at the address <c>Value</c>, can't be copied to a writeable mapping.</summary>
    PagesNotWritable,

    /// <summary>EINVAL: a range of the list, from <c>Value</c> to <c>Limit</c>, does not end after its start.</summary>
    InvalidRangeList,

    /// <summary>EFAULT: a buffer can't be accessed. <c>Value</c> is how many bytes can be, <c>Limit</c> how many are needed.</summary>
    BufferFault,

    /// <summary>EMSGSIZE: the array has room for <c>Value</c> entries, there are <c>Limit</c>.</summary>
    ArrayTooSmall,

    /// <summary>EADDRINUSE: huge pages can't be switched off, since the area <c>Overlap</c> is not aligned to pages.</summary>
    UnalignedAreas,

    /// <summary>EINVAL: the IOAS <c>ObjectId</c> maps process memory at <c>Overlap</c>; only mappings of files can move to another process.</summary>
    MapsProcessMemory,

    /// <summary>EIO: the grain of the object <c>ObjectId</c> did not answer, or has lost its state.</summary>
    ObjectUnreachable,

    /// <summary>EBUSY: the device <c>ObjectId</c>, or its PASID <c>Value</c> if that is not 0, is already attached.</summary>
    DeviceAttached,

    /// <summary>EINVAL: the device <c>ObjectId</c>, or its PASID <c>Value</c> if that is not 0, is not attached.</summary>
    DeviceNotAttached,

    /// <summary>EINVAL: devices of the same IOMMU group, or their PASIDs <c>Value</c> if that is not 0, are attached to the HWPT <c>ObjectId</c>.</summary>
    GroupAttachedElsewhere,

    /// <summary>EINVAL: the object <c>ObjectId</c> is neither an IOAS nor a page table.</summary>
    NotAPageTable,

    /// <summary>EINVAL: the IOMMU of the device, or of another device of its group, can't use the page table of the HWPT <c>ObjectId</c>, or of the IOAS.</summary>
    DeviceIncompatible,

    /// <summary>EINVAL: a PASID, or a device beside PASIDs, can only be attached to a HWPT that was allocated for PASIDs. <c>ObjectId</c> is another.</summary>
    PasidIncompatible,

    /// <summary>EOPNOTSUPP: the device's IOMMU has no page table with the flags <c>Value</c>.</summary>
    IommuLacksFeature,

    /// <summary>ENODEV: no IOMMU driver has this name.</summary>
    UnknownIommu,

    /// <summary>EINVAL: the description of the device is not valid.</summary>
    InvalidDevice,

    /// <summary>EINVAL: only one of data type and data length is 0. <c>Value</c> is the type, <c>Limit</c> the length.</summary>
    InvalidDataLength,

    /// <summary>EINVAL: a page table is to be nested on the HWPT <c>ObjectId</c>, which was not allocated as a nest parent.</summary>
    NotNestParent,

    /// <summary>EFAULT: memory of the caller's, <c>Limit</c> bytes at the address <c>Value</c>, can't be pinned. <c>Overlap</c> is where it is mapped; null where it was to be.</summary>
    MemoryNotPinnable,

    /// <summary>EADDRINUSE: the area <c>Overlap</c> is not within the page table's aperture, from <c>Value</c> to <c>Limit</c>.</summary>
    OutsideAperture,

    /// <summary>EADDRINUSE: the area <c>Overlap</c>, or its memory, is not aligned to <c>Limit</c> bytes.</summary>
    AreasMisaligned,

    /// <summary>EOPNOTSUPP: the HWPT <c>ObjectId</c> was allocated without dirty tracking.</summary>
    DirtyTrackingUnsupported,

    /// <summary>EINVAL: dirty tracking of the HWPT <c>ObjectId</c> is not enabled.</summary>
    DirtyTrackingDisabled,

    /// <summary>EINVAL: the page size of a bitmap, <c>Value</c>, is not a power of two.</summary>
    InvalidPageSize,

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

    /// <summary>EPERM: the area <c>Overlap</c> does not permit this access. <c>Value</c> is the first IOVA that is refused.</summary>
    AccessDenied,

    /// <summary>ENOENT: the access <c>ObjectId</c> has no pin <c>Value</c>: it was never taken, was dropped, or an unmap has revoked it.</summary>
    PinNotFound,

    /// <summary>EBADE or EINVAL: the memory behind the IOVA <c>Value</c> is not the expected memory.</summary>
    UnexpectedPages,

    /// <summary>EIO: the page at <c>Value</c> has <c>Limit</c> pins; another number was expected.</summary>
    UnexpectedPinCount,

    /// <summary>EINVAL: the entry of the device's cache is <c>Value</c>; something else was expected.</summary>
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

    /// <summary>ENOMEM: the context already has <c>Limit</c> objects.</summary>
    TooManyObjects,

    /// <summary>EMFILE: the context already has <c>Limit</c> references.</summary>
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

    /// <summary>EINVAL: the device <c>ObjectId</c> is behind another IOMMU than the HWPT or vIOMMU <c>Value</c>.</summary>
    OtherIommu,

    /// <summary>EINVAL: the vIOMMU can't have a hardware queue with the index <c>Value</c>: it has <c>Limit</c> of the kind.</summary>
    QueueIndexUnusable,

    /// <summary>EOPNOTSUPP: the IOMMU has no vIOMMU, event queue, hardware queue or hardware information of the kind <c>Value</c>.</summary>
    UnsupportedKind,

    /// <summary>EFAULT: the memory of a hardware queue is not contiguous at the IOVA <c>Value</c>.</summary>
    MemoryNotContiguous,

    /// <summary>EBUSY: an object needs what is mapped at <c>Overlap</c>: it can't be unmapped.</summary>
    AreaLocked,

    /// <summary>EINVAL: <c>ObjectId</c> takes no invalidations. EOPNOTSUPP: the same of a nested HWPT whose IOMMU takes them by the vIOMMU.</summary>
    NotInvalidatable,

    /// <summary>EINVAL, EOPNOTSUPP or EIO: the entry <c>Value</c> of the invalidation can't be carried out, for what it says; those before it were.</summary>
    InvalidEntry,

    /// <summary>EINVAL: the entries of an invalidation are of the kind <c>Value</c>, which the object does not take.</summary>
    WrongEntryKind,

    /// <summary>EINVAL: an invalidation of <c>Value</c> entries has no address for them, or entries of length 0; or none, where there must be one.</summary>
    NoEntries,

    /// <summary>EINVAL: the entry of the page table's cache is <c>Value</c>; something else was expected.</summary>
    UnexpectedIotlb,

    /// <summary>EINVAL: the PASID <c>Value</c> is attached to <c>ObjectId</c>; id 0 for nothing.</summary>
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

    /// <summary>EOPNOTSUPP: this version does not know the request of a driver or an operator.</summary>
    UnsupportedRequest,

    /// <summary>ENOENT: the device or access <c>ObjectId</c> was made by another driver.</summary>
    ObjectOfOtherDriver,

    /// <summary>EOVERFLOW or EINVAL: <c>Value</c>, an IOVA or a length, is larger than <c>Limit</c>.</summary>
    NumberTooLarge,

    /// <summary>EOVERFLOW, EINVAL or ERANGE: <c>Limit</c> bytes at the address or offset <c>Value</c>, in whole pages, reach 2^64.</summary>
    MemoryOverflow,

    /// <summary>EOVERFLOW: no IOVA is chosen for <c>Value</c> bytes, half of all IOVAs or more.</summary>
    TooLongToPlace,

    /// <summary>EINVAL: the length <c>Value</c> must be aligned to <c>Limit</c> bytes.</summary>
    MisalignedLength,

    /// <summary>EINVAL: the memory's address, or the file's offset, <c>Value</c>, must be aligned to <c>Limit</c> bytes.</summary>
    MisalignedMemory,

    /// <summary>EINVAL: a file, <c>Limit</c> bytes at the offset <c>Value</c>, can't be pinned. <c>Overlap</c> is where it is mapped; null where it was to be.</summary>
    FileNotPinnable,

    /// <summary>ENOENT or EINVAL: the IOVA <c>Value</c> is not mapped. <c>Overlap</c> is the nearest area, if any.</summary>
    IovaNotMapped,

    /// <summary>ENOENT: the area <c>Overlap</c> reaches out of the range. <c>Value</c> is its first IOVA, <c>Limit</c> its bytes.</summary>
    AreaReachesOut,

    /// <summary>EINVAL: of a list, the range from <c>Value</c> to <c>Limit</c> overlaps the range <c>Overlap</c>.</summary>
    RangesOverlap,

    /// <summary>EADDRINUSE: automatic IOVAs are allowed in <c>Overlap</c>, which is not within the page table's aperture, from <c>Value</c> to <c>Limit</c>.</summary>
    AllowedOutsideAperture,

    /// <summary>EINVAL: huge pages can't be switched off while the HWPT <c>ObjectId</c> mirrors the IOAS and something, first <c>Overlap</c>, is mapped.</summary>
    HugePagesInUse,

    /// <summary>ENOMEM: an invalidation has <c>Value</c> entries, more than <c>Limit</c>.</summary>
    TooManyEntries,

    /// <summary>ENOMEM: the part of a bitmap that is not zero is larger than <c>Limit</c> bytes. <c>Value</c> is how many bytes of IOVAs it covers.</summary>
    BitmapTooLarge,

    /// <summary>EOPNOTSUPP: the flags <c>Value</c> exclude each other.</summary>
    ConflictingFlags,

    /// <summary>EOPNOTSUPP: a HWPT that is nested on <c>ObjectId</c> is made of data, and there is none.</summary>
    NestingNeedsData,

    /// <summary>EOPNOTSUPP: the device's IOMMU nests no page table on the HWPT <c>ObjectId</c>.</summary>
    CannotNest,

    /// <summary>EINVAL: no HWPT can be allocated on <c>ObjectId</c>.</summary>
    CannotAllocateOn,

    /// <summary>EOPNOTSUPP: the device's IOMMU does not take data of the type <c>Value</c>, or not with this content.</summary>
    UnsupportedData,

    /// <summary>EINVAL: data of the type <c>Value</c> does not have <c>Limit</c> bytes.</summary>
    WrongDataLength,

    /// <summary>EIO: the content of the data of the type <c>Value</c> is one that a guest must not have.</summary>
    InvalidData,

    /// <summary>EINVAL: a device has no PASID <c>Value</c>: its PASIDs have <c>Limit</c> bits.</summary>
    NoSuchPasid,

    /// <summary>EINVAL: the device's IOMMU does not keep caches coherent.</summary>
    NotCacheCoherent,

    /// <summary>EINVAL: the cache has no entry <c>Value</c>, it has <c>Limit</c>.</summary>
    NoCacheEntry,

    /// <summary>ENOMEM: the context would have <c>Value</c> areas and ranges, more than <c>Limit</c>.</summary>
    TooManyAreas,

    /// <summary>EMFILE: the opener already has <c>Limit</c> contexts. ENFILE: the silo has.</summary>
    TooManyContexts,

    /// <summary>EMFILE: a client has already taken the session that the file would have.</summary>
    SessionTaken,

    /// <summary>EEXIST: the vIOMMU already has a hardware queue with the index <c>Value</c>.</summary>
    QueueIndexTaken,

    /// <summary>EIO: the vIOMMU has no hardware queue with the index before <c>Value</c>.</summary>
    QueueBeforeMissing,

    /// <summary>EINVAL: the entries of the invalidation have <c>Value</c> bytes each; they must have <c>Limit</c>.</summary>
    WrongEntryLength,

    /// <summary>EINVAL: an event queue must have room for an event, and for <c>Limit</c> at most; <c>Value</c> is its depth.</summary>
    QueueWithoutDepth,

    /// <summary>EINVAL: the pointer to a buffer of <c>Limit</c> bytes is 0.</summary>
    NoBuffer,

    /// <summary>E2BIG: the answers to the batch could have <c>Value</c> bytes, <c>Limit</c> is the limit. Nothing of the batch ran.</summary>
    AnswerTooLarge,

    /// <summary>ENOMEM: <c>Value</c> bytes are in more than <c>Limit</c> areas.</summary>
    TooManyPieces,

    /// <summary>ENOMEM: the IOAS has <c>Value</c> ranges, which are more than the <c>Limit</c> that one reply carries.</summary>
    TooManyRanges,

    /// <summary>EBADF: the context belongs to another cluster, which has its journals in the same store.</summary>
    OwnedByOtherCluster,

    /// <summary>The request asked that its failure point <c>Value</c> fail. The errno is the one that it asked for.</summary>
    FaultInjected,

    /// <summary>EINVAL: <c>Value</c> is no kind of IOMMU that <c>VFIO_SET_IOMMU</c> knows.</summary>
    UnknownIommuType,

    /// <summary>EINVAL: DMA may neither read nor write the area <c>Overlap</c>, which VFIO has mapped so, and no page table can map that.</summary>
    AreaWithoutAccess,

    /// <summary>EOPNOTSUPP: the device is attached to a guest's page table, HWPT <c>ObjectId</c>, whose entries are not walked.</summary>
    GuestTranslation,

    /// <summary>EINVAL: an access of a device has 1 to <c>Limit</c> ranges, none of them empty; this one has <c>Value</c>.</summary>
    InvalidDmaRanges,

    /// <summary>EAGAIN: the page fault of the group <c>Value</c> has no response yet. ENOENT: it is not known here, and none will come.</summary>
    NoFaultResponse,

    /// <summary>ENODEV: the dma-buf is revoked. ENOENT: the IOVA <c>Value</c> is in the area <c>Overlap</c> of a dma-buf that was revoked.</summary>
    DmaBufRevoked,

    /// <summary>EINVAL: the dma-buf has <c>Limit</c> bytes, and the part to map ends at <c>Value</c>.</summary>
    DmaBufTooShort,

    /// <summary>EOPNOTSUPP: the dma-buf has several ranges, and only one that has a single range can be mapped.</summary>
    DmaBufScattered,

    /// <summary>EINVAL: an access can't pin or copy the dma-buf that the area <c>Overlap</c> maps; only devices reach it. <c>Value</c> is the offset in it.</summary>
    DmaBufNotAccessible,

    /// <summary>ENOMEM: <c>Limit</c> contexts map the dma-buf, and no more can.</summary>
    DmaBufInUse,

    /// <summary>EINVAL: the file is no dma-buf. EOPNOTSUPP: it is a dma-buf, but none that the selftest has made.</summary>
    NotSelftestDmaBuf,

    /// <summary>EFAULT: the memory behind the IOVA <c>Value</c> is gone, with its program, or because that has unmapped it.</summary>
    MemoryGone,

    /// <summary>EPERM: the caller lacks CAP_SYS_RESOURCE, which setting RLIMIT_MODE needs.</summary>
    RlimitModeNotPermitted,

    /// <summary>ENOMEM: <c>Value</c> pages of the program or its user would be locked, and <c>Limit</c> may be.</summary>
    TooMuchLockedMemory,

    /// <summary>EBUSY: a program has the pages of the vIOMMU mapped.</summary>
    PagesMapped,
}
