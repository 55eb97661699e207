using System.Globalization;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>Makes words from diagnostics: what was asked, what stands in the way, and what to do.</summary>
public static class DiagnosticText
{
    /// <summary>Says why an ioctl failed.</summary>
    /// <param name="diagnostic">The reason and its numbers.</param>
    /// <returns>One sentence without the errno.</returns>
    public static string Describe(IoctlDiagnostic diagnostic)
    {
        ArgumentNullException.ThrowIfNull(diagnostic);
        var id = diagnostic.ObjectId;
        var type = diagnostic.ObjectType.Label();
        var value = diagnostic.Value;
        var limit = diagnostic.Limit;
        FormattableString text = diagnostic.Reason switch
        {
            DiagnosticReason.None => $"no reason was given",
            DiagnosticReason.ContextNotOpen => $"the handle names no open context: it was never opened, was closed, or was volatile and ended with its silo",
            DiagnosticReason.ContextAlreadyOpen => $"the handle already names an open context",
            DiagnosticReason.ReferenceNotFound => $"the context has no such reference, or one of another kind",
            DiagnosticReason.UnknownNumber => $"0x{value:X} is not an iommufd ioctl",
            DiagnosticReason.UnknownCommand => $"no iommufd command has the ioctl number 0x{value:X}",
            DiagnosticReason.ArgumentUnreadable => $"only {value:N0} of {limit:N0} bytes of the argument can be read",
            DiagnosticReason.ArgumentUnwritable => $"only {value:N0} of {limit:N0} bytes of the answer can be written",
            DiagnosticReason.ArgumentTooShort => $"size is {value:N0}, the command needs at least {limit:N0}",
            DiagnosticReason.UnknownBytesNotZero => $"size is {value:N0}, and a byte beyond the {limit:N0} known ones is not zero",
            DiagnosticReason.ReservedNotZero => $"a reserved field is 0x{value:X}, it must be 0",
            DiagnosticReason.UnsupportedFlags => $"the flags 0x{value:X} are not supported",
            DiagnosticReason.UnsupportedOp => $"op {value} is not supported",
            DiagnosticReason.UnsupportedOption => $"option {value} is not supported",
            DiagnosticReason.OptionTakesNoObject => $"object_id is {id}, it must be 0: the option belongs to the context",
            DiagnosticReason.InvalidOptionValue => limit > 0 ? $"the option can't be set to {value}, the least is {limit}" : (FormattableString)$"the option can't be set to {value}, only to 0 or 1",
            DiagnosticReason.NotImplemented => $"the command is well formed, but this version does not implement it",
            DiagnosticReason.ObjectNotFound => $"no object has the id {id}",
            DiagnosticReason.ObjectOfOtherType => $"object {id} is {Format.WithArticle(type)}, the command needs another kind",
            DiagnosticReason.ObjectHeld => $"{type} {id} is held by {Holders(diagnostic)}",
            DiagnosticReason.ContextHasObjects => $"the option can only be set while the context has no objects, it has {Holders(diagnostic)}",
            DiagnosticReason.NoCompatIoas => $"no compatibility IOAS is set",
            DiagnosticReason.HoldNotFound => $"the driver has no hold {value}",
            DiagnosticReason.InvalidName => $"a name must have 1 to {IoctlLimits.MaxNameLength} characters, and a kind or mode must be one that the interface defines",
            DiagnosticReason.NoFreeId => $"every object id of the context is taken",
            DiagnosticReason.RequestTooLarge => $"the request is {value:N0} bytes, the limit is {limit:N0}",
            DiagnosticReason.BatchTooLong => $"the batch has {value:N0} ioctls, the limit is {limit:N0}",
            DiagnosticReason.MappingWithoutAccess => $"the flags 0x{value:X} make the mapping neither readable nor writeable",
            DiagnosticReason.RangeOverflow => $"0x{limit:X} bytes from IOVA 0x{value:X} pass the last IOVA",
            DiagnosticReason.Misaligned => $"the IOVA 0x{value:X} is not aligned to {limit:N0} bytes",
            DiagnosticReason.EmptyRange => $"the length is 0",
            DiagnosticReason.AreaInTheWay => $"{Asked(diagnostic)} is not free, {diagnostic.Overlap} is mapped",
            DiagnosticReason.ReservedInTheWay => $"{Asked(diagnostic)} can't be mapped or allowed, {diagnostic.Overlap} is reserved",
            DiagnosticReason.AllowedInTheWay => $"{Asked(diagnostic)} can't be reserved, automatic IOVAs are allowed in {diagnostic.Overlap}",
            DiagnosticReason.NoHole => limit < value ? $"no hole of 0x{value:X} bytes, the largest is 0x{limit:X}" : (FormattableString)$"no hole of 0x{value:X} bytes is aligned as the memory is, the largest hole is 0x{limit:X}",
            DiagnosticReason.RangeNotMapped => $"nothing is mapped in 0x{limit:X} bytes from 0x{value:X}, {Nearest(diagnostic)}",
            DiagnosticReason.FileNotOpen => $"the file descriptor is not open",
            DiagnosticReason.PagesNotWritable => $"the copy is to be writeable, but the memory at 0x{value:X} was mapped for reading only",
            DiagnosticReason.InvalidRangeList => $"[0x{value:X}, 0x{limit:X}] of the list does not end after its start",
            DiagnosticReason.BufferFault => $"only {value:N0} of {limit:N0} bytes of the buffer can be accessed",
            DiagnosticReason.ArrayTooSmall => $"the array has room for {Format.Count((long)value, "range")}, there are {limit:N0}",
            DiagnosticReason.UnalignedAreas => $"huge pages can't be switched off, {diagnostic.Overlap} or its memory is not aligned to pages",
            DiagnosticReason.MapsProcessMemory => $"{type} {id} maps process memory at {diagnostic.Overlap}, only mappings of files can move to another process",
            DiagnosticReason.ObjectUnreachable => $"the grain of {type} {id} did not answer or has lost its state",
            DiagnosticReason.UsersDisagree => $"a bug of the service: {type} {id} has users {limit} in its context's table and {value} in its grain, so it was not destroyed",
            DiagnosticReason.DeviceAttached => $"{Pasid(diagnostic)}device {id} is already attached",
            DiagnosticReason.DeviceNotAttached => $"{Pasid(diagnostic)}device {id} is not attached",
            DiagnosticReason.GroupAttachedElsewhere => $"{Pasid(diagnostic)}the IOMMU group is attached to HWPT {id}",
            DiagnosticReason.NotAPageTable => $"{type} {id} is not a page table, only an IOAS or a HWPT is",
            DiagnosticReason.DeviceIncompatible => $"the IOMMU of the device, or of another of its group, can't use {type} {id}",
            DiagnosticReason.PasidIncompatible => $"attaching a PASID, or a device beside PASIDs, needs a HWPT allocated for PASIDs, which {type} {id} is not",
            DiagnosticReason.IommuLacksFeature => $"the device's IOMMU has no page table with the flags 0x{value:X}",
            DiagnosticReason.UnknownIommu => $"no IOMMU driver has this name",
            DiagnosticReason.InvalidDevice => $"a device needs a name, a group name unless it has none, reserved regions that ascend, a PASID width of at most {DeviceDescription.MaxPasidWidth}, and hardware that its IOMMU can have",
            DiagnosticReason.InvalidDataLength => $"data_type is 0x{value:X} and data_len is {limit:N0}, either both or neither must be 0",
            DiagnosticReason.NotNestParent => $"{type} {id} was not allocated as a nest parent",
            DiagnosticReason.MemoryNotPinnable => $"not all of the 0x{limit:X} bytes of memory at 0x{value:X}{Where(diagnostic)} can be pinned",
            DiagnosticReason.OutsideAperture => $"{diagnostic.Overlap} is mapped, but the aperture of the page table is {Asked(diagnostic)}",
            DiagnosticReason.AreasMisaligned => $"{diagnostic.Overlap} or its memory is not aligned to {limit:N0} bytes",
            DiagnosticReason.DirtyTrackingUnsupported => $"HWPT {id} was allocated without dirty tracking",
            DiagnosticReason.DirtyTrackingDisabled => $"dirty tracking of HWPT {id} is not enabled",
            DiagnosticReason.InvalidPageSize => $"the page size is 0x{value:X}, it must be a power of two",
            DiagnosticReason.NotAnAccess => $"file descriptor {(int)value} is not an access of an open context",
            DiagnosticReason.AccessDoesNotPin => $"access {id} was not created to pin pages",
            DiagnosticReason.AccessNotAttached => $"access {id} is not attached to an IOAS",
            DiagnosticReason.AccessAttached => $"access {id} is already attached",
            DiagnosticReason.NoFreeDescriptor => $"the ioctl opens a file, but no file descriptor is free",
            DiagnosticReason.AccessDenied => $"{diagnostic.Overlap} is mapped without permission for this access, which it is asked for at 0x{value:X}",
            DiagnosticReason.PinNotFound => $"the access has no pin {value}: it was never taken, was dropped, or an unmap has revoked it",
            DiagnosticReason.UnexpectedPages => $"the memory behind 0x{value:X} is not the expected memory",
            DiagnosticReason.UnexpectedPinCount => $"the page at 0x{value:X} has {limit:N0} pins, another number was expected",
            DiagnosticReason.TooManyPinnedRuns => $"the pinned pages are in more than {limit:N0} runs, which is the limit",
            DiagnosticReason.UnexpectedCache => $"the entry of the device's cache is 0x{value:X}, something else was expected",
            DiagnosticReason.LeafObject => $"{type} {id} belongs to the driver that made it, no other can hold it",
            DiagnosticReason.JournalDamaged => $"the context is stopped: its journal is damaged {(value == 0 ? "in its snapshot" : $"at record {value}")}",
            DiagnosticReason.JournalDiverged => $"the context is stopped: replaying record {value} of its journal gave another answer than the journaled one, which another version wrote",
            DiagnosticReason.NoJournal => $"the silo has no journal, and so no durable contexts",
            DiagnosticReason.SessionNotFound => $"the session has no reference to the context: it was closed, or its lease expired",
            DiagnosticReason.OperationSettled => $"request {value} of the session was settled before it arrived",
            DiagnosticReason.TooManyUnsettled => $"the session already has {limit:N0} requests under way, which is the limit",
            DiagnosticReason.TooManyUnsettledBytes => $"the answers kept for the session exceed {limit:N0} bytes, which is the limit",
            DiagnosticReason.TooManyObjects => $"the context already has {limit:N0} objects, which is the limit",
            DiagnosticReason.TooManyReferences => $"the context already has {limit:N0} references, which is the limit",
            DiagnosticReason.NoVdevice => $"device {id} has no vDevice on vIOMMU {value}",
            DiagnosticReason.DeviceHasVdevice => $"device {id} already has a vDevice",
            DiagnosticReason.VirtualIdTaken => $"the vIOMMU already has a vDevice with the id 0x{value:X}",
            DiagnosticReason.VeventqTypeTaken => $"the vIOMMU already has an event queue of the kind 0x{value:X}, vEVENTQ {id}",
            DiagnosticReason.OtherIommu => $"device {id} is behind another IOMMU than object {value}",
            DiagnosticReason.QueueIndexUnusable => $"the vIOMMU has no HW queue with the index {value}, it can have {limit:N0}",
            DiagnosticReason.UnsupportedKind => $"the device's IOMMU has nothing of the kind 0x{value:X}",
            DiagnosticReason.MemoryNotContiguous => $"the memory of the queue is not contiguous at 0x{value:X}",
            DiagnosticReason.AreaLocked => $"{diagnostic.Overlap} can't be unmapped, a HW queue is in it",
            DiagnosticReason.NotInvalidatable => $"{type} {id} takes no invalidations",
            DiagnosticReason.InvalidEntry => $"entry {value} of the invalidation asks for what the IOMMU or the guest does not have, those before it were carried out",
            DiagnosticReason.WrongEntryKind => $"the entries are of the kind 0x{value:X}, which the object does not take",
            DiagnosticReason.NoEntries => value == 0 ? $"there is no entry" : (FormattableString)$"{value:N0} entries need an address and a length",
            DiagnosticReason.UnexpectedIotlb => $"the entry of the page table's cache is 0x{value:X}, something else was expected",
            DiagnosticReason.UnexpectedHwpt => id == default ? $"PASID {value} is not attached" : (FormattableString)$"PASID {value} is attached to {type} {id}",
            DiagnosticReason.NoViommu => $"device {id} is not attached to a nested HWPT of a vIOMMU, or is 0 there",
            DiagnosticReason.NoVeventq => $"vIOMMU {id} has no event queue of this kind",
            DiagnosticReason.QueueFull => $"{type} {id} already has {limit:N0} entries, which is the limit",
            DiagnosticReason.PartialRecord => $"{value:N0} bytes are not a multiple of {limit:N0}, the length of a record",
            DiagnosticReason.CookieNotFound => $"no group of page faults waits for a response with the cookie {value}",
            DiagnosticReason.InvalidResponseCode => $"{value} is not a response code, only 0 and 1 are",
            DiagnosticReason.FileOperationUnsupported => $"the file of {type} {id} does not take this operation",
            DiagnosticReason.FileLeadsNowhere => $"the file was closed, or leads to no object of an open context",
            DiagnosticReason.InvalidEvent => $"{value:N0} bytes are no event of the IOMMU in front of device {id}",
            DiagnosticReason.SelftestFailure => $"the emulated device fails this replacement once: PASID 1024 is for testing that",
            DiagnosticReason.InvalidFaultGroup => $"a group has 1 to {limit:N0} page faults, all with one PASID and one group number",
            DiagnosticReason.UnsupportedRequest => $"this version does not know the request",
            DiagnosticReason.ObjectOfOtherDriver => $"{type} {id} was made by another driver, which alone can use it",
            DiagnosticReason.NumberTooLarge => $"0x{value:X} is too large for an IOVA or a length, the largest is 0x{limit:X}",
            DiagnosticReason.MemoryOverflow => $"0x{limit:X} bytes from 0x{value:X}, in whole pages, reach 2^64",
            DiagnosticReason.TooLongToPlace => $"0x{value:X} bytes are half of all IOVAs or more, an IOVA is chosen only for less",
            DiagnosticReason.MisalignedLength => $"the length 0x{value:X} is not aligned to {limit:N0} bytes",
            DiagnosticReason.MisalignedMemory => $"the address or offset 0x{value:X} of the memory is not aligned to {limit:N0} bytes",
            DiagnosticReason.FileNotPinnable => $"not all of the 0x{limit:X} bytes of the file at offset 0x{value:X}{Where(diagnostic)} can be pinned",
            DiagnosticReason.IovaNotMapped => $"0x{value:X} is not mapped{(id == default ? "" : $" in {type} {id}")}, {Nearest(diagnostic)}",
            DiagnosticReason.AreaReachesOut => $"{diagnostic.Overlap} reaches out of 0x{limit:X} bytes from 0x{value:X}, areas are unmapped as a whole",
            DiagnosticReason.RangesOverlap => $"{Asked(diagnostic)} and {diagnostic.Overlap} of the list overlap",
            DiagnosticReason.AllowedOutsideAperture => $"automatic IOVAs are allowed in {diagnostic.Overlap}, but the aperture of the page table is {Asked(diagnostic)}",
            DiagnosticReason.HugePagesInUse => $"huge pages can't be switched off while {diagnostic.Overlap} is mapped and {type} {id} mirrors the IOAS",
            DiagnosticReason.TooManyEntries => $"the invalidation has {value:N0} entries, the limit is {limit:N0}",
            DiagnosticReason.BitmapTooLarge => $"the part of the bitmap of 0x{value:X} bytes that is not zero is larger than {limit:N0} bytes, which is the limit",
            DiagnosticReason.ConflictingFlags => $"the flags 0x{value:X} exclude each other",
            DiagnosticReason.NestingNeedsData => $"a HWPT nested on {type} {id} is made of data, and there is none",
            DiagnosticReason.CannotNest => $"the device's IOMMU nests no page table on {type} {id}",
            DiagnosticReason.CannotAllocateOn => $"no HWPT can be allocated on {type} {id}, only on an IOAS, a paging HWPT or a vIOMMU",
            DiagnosticReason.UnsupportedData => $"the device's IOMMU does not take this data, of the type 0x{value:X}",
            DiagnosticReason.WrongDataLength => $"data of the type 0x{value:X} does not have {limit:N0} bytes",
            DiagnosticReason.InvalidData => $"the content of the data, of the type 0x{value:X}, is one that a guest must not have",
            DiagnosticReason.NoSuchPasid => $"the device has no PASID {value}, its PASIDs have {limit} bits",
            DiagnosticReason.NotCacheCoherent => $"the device's IOMMU does not keep caches coherent",
            DiagnosticReason.NoCacheEntry => $"the cache has no entry {value}, it has {limit}",
            DiagnosticReason.TooManyAreas => $"the context would have {value:N0} areas and ranges, the limit is {limit:N0}",
            DiagnosticReason.TooManyContexts => $"{limit:N0} contexts are already open, which is the limit",
            DiagnosticReason.SessionTaken => $"a client has already taken the session that the file would have",
            DiagnosticReason.QueueIndexTaken => $"the vIOMMU already has a HW queue with the index {value}",
            DiagnosticReason.QueueBeforeMissing => $"the HW queue with the index before {value} must be there first",
            DiagnosticReason.WrongEntryLength => $"the entries have {value:N0} bytes each, they must have {limit:N0}",
            DiagnosticReason.QueueWithoutDepth => $"the depth of the queue is 0",
            DiagnosticReason.NoBuffer => $"the pointer to the {limit:N0} bytes is 0",
            DiagnosticReason.AnswerTooLarge => $"the answers to the batch could have {value:N0} bytes, the limit is {limit:N0}",
            DiagnosticReason.TooManyPieces => $"the {value:N0} bytes are in more than {limit:N0} areas",
            DiagnosticReason.TooManyRanges => $"the IOAS has {value:N0} ranges, a reply carries {limit:N0}",
            DiagnosticReason.OwnedByOtherCluster => $"the context belongs to another cluster, which has its journals in the same store",
            DiagnosticReason.AreaWithoutAccess => $"DMA may neither read nor write {diagnostic.Overlap}, and no page table can map that",
            DiagnosticReason.GuestTranslation => $"HWPT {id} is a guest's page table, whose entries are not walked",
            DiagnosticReason.InvalidDmaRanges => $"an access has 1 to {limit} ranges, none of them empty, and this one has {value:N0}",
            DiagnosticReason.MemoryGone => $"0x{value:X} is mapped, but the memory behind it is gone: its program has unmapped it, or has ended",
            DiagnosticReason.NoFaultResponse => $"the page fault of group {value} of device {id} has no response",
            DiagnosticReason.UnknownIommuType => $"{value} is no kind of IOMMU that VFIO knows here: type1 is 1, type1v2 is 3",
            DiagnosticReason.FaultInjected => $"failure point {value} of the ioctl was made to fail, as asked",
            _ => $"reason {(int)diagnostic.Reason}",
        };
        return text.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Says what to do about it.</summary>
    /// <param name="errno">What the ioctl answered.</param>
    /// <param name="diagnostic">The reason and its numbers.</param>
    /// <returns>One sentence; empty where there is no advice beyond the reason.</returns>
    public static string Hint(Errno errno, IoctlDiagnostic? diagnostic) => diagnostic?.Reason switch
    {
        DiagnosticReason.ObjectHeld => $"release the holder{(diagnostic.HolderCount == 1 ? "" : "s")} first: ExplainBusyAsync lists the steps",
        DiagnosticReason.ContextHasObjects => "set the option right after opening the context, or destroy the objects first",
        DiagnosticReason.NoFreeId => "destroy an object first",
        DiagnosticReason.OwnedByOtherCluster => "connect to that cluster, or give each cluster a store of its own",
        DiagnosticReason.ContextNotOpen => "open a context and use its handle",
        DiagnosticReason.AreaInTheWay => "unmap the area, or map elsewhere",
        DiagnosticReason.NoHole => "unmap an area, or allow more IOVAs",
        DiagnosticReason.AreaReachesOut => "unmap exactly what one map call mapped, or several such areas together",
        DiagnosticReason.AnswerTooLarge => "nothing of the batch ran: make it several batches",
        DiagnosticReason.TooManyPieces => "ask for parts of the range",
        DiagnosticReason.TooManyRanges => "pass a smaller array for the first of them",
        DiagnosticReason.ArrayTooSmall => "pass a larger array",
        DiagnosticReason.DeviceAttached => "detach the device first, or replace its page table",
        DiagnosticReason.GroupAttachedElsewhere => "attach all devices of the group to the same page table",
        DiagnosticReason.OutsideAperture => "unmap the area, then attach again",
        DiagnosticReason.AllowedOutsideAperture => "allow less, then attach again",
        DiagnosticReason.MemoryNotPinnable => "look for memory that isn't there, for a device's BAR, for a mapping of a file that is not a memfd, and for read-only memory mapped writeable",
        DiagnosticReason.FileNotPinnable => "look for a file that is not a memfd, such as a dma-buf, and for a file that ends before the mapping does",
        DiagnosticReason.DirtyTrackingUnsupported => "allocate the HWPT with IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
        DiagnosticReason.PasidIncompatible => "allocate the HWPTs of the device and of its PASIDs with IOMMU_HWPT_ALLOC_PASID",
        DiagnosticReason.NoFreeDescriptor => "pass caller memory that has file descriptors (ICallerMemory.InstallFile), or close some",
        DiagnosticReason.NotNestParent => "allocate the HWPT with IOMMU_HWPT_ALLOC_NEST_PARENT",
        DiagnosticReason.NoVdevice => "allocate a vDevice for the device on that vIOMMU first",
        DiagnosticReason.AreaLocked => "destroy the HW queue first",
        DiagnosticReason.NoVeventq => "allocate one with IOMMU_VEVENTQ_ALLOC",
        DiagnosticReason.NoCompatIoas => "set one with IOMMU_VFIO_IOAS and op SET",
        DiagnosticReason.ArgumentTooShort => "put the struct's size into its first u32",
        DiagnosticReason.UnknownBytesNotZero => "zero the bytes that the service does not know, or pass a smaller size",
        DiagnosticReason.UnknownNumber or DiagnosticReason.UnknownCommand when errno == Errno.ENOTTY => "ioctl numbers are _IO(';', 0x80) to _IO(';', 0x94), and 0xA0 is IOMMU_TEST_CMD",
        _ => "",
    };

    // Tombstones take ids without being objects.
    private static string Holders(IoctlDiagnostic diagnostic)
        => diagnostic.HolderCount == 0 && diagnostic.Holders.Length == 0 ? "ids that stay reserved" : Format.List(diagnostic.Holders, diagnostic.HolderCount);

    // The range that was asked for, where the diagnostic has its first and its last IOVA.
    private static IovaRange Asked(IoctlDiagnostic diagnostic) => new(diagnostic.Value, diagnostic.Limit);

    private static string Nearest(IoctlDiagnostic diagnostic) => diagnostic.Overlap is { } near ? $"the nearest area is {near}" : "the IOAS has no area";

    private static string Where(IoctlDiagnostic diagnostic) => diagnostic.Overlap is { } mapped ? $", mapped at {mapped}," : "";

    private static string Pasid(IoctlDiagnostic diagnostic) => diagnostic.Value == 0 ? "" : $"PASID {diagnostic.Value} of ";
}
