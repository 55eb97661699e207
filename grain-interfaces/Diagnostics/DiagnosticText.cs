using System.Globalization;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

/// <summary>The one place where reasons become words.</summary>
public static class DiagnosticText
{
    /// <summary>Says what went wrong.</summary>
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
            DiagnosticReason.ContextNotOpen => $"the handle names no open context: it was never opened, is closed, or was volatile and left with its silo",
            DiagnosticReason.ContextAlreadyOpen => $"the handle already names an open context",
            DiagnosticReason.ReferenceNotFound => $"the context has no such reference, or not of this kind",
            DiagnosticReason.UnknownNumber => $"0x{value:X} is no ioctl of iommufd",
            DiagnosticReason.UnknownCommand => $"no command of iommufd has the ioctl number 0x{value:X}",
            DiagnosticReason.ArgumentUnreadable => $"only {value} of {limit} bytes of the argument can be read",
            DiagnosticReason.ArgumentUnwritable => $"only {value} of {limit} bytes of the answer can be written",
            DiagnosticReason.ArgumentTooShort => $"size is {value}, the command needs at least {limit}",
            DiagnosticReason.UnknownBytesNotZero => $"size is {value}, and a byte behind the {limit} that are known is not zero",
            DiagnosticReason.ReservedNotZero => $"a reserved field is 0x{value:X}, it must be 0",
            DiagnosticReason.UnsupportedFlags => $"the flags 0x{value:X} are not supported",
            DiagnosticReason.UnsupportedOp => $"op {value} is not supported",
            DiagnosticReason.UnsupportedOption => $"option {value} is not supported",
            DiagnosticReason.OptionTakesNoObject => $"the option belongs to the context: object_id is {id}, it must be 0",
            DiagnosticReason.InvalidOptionValue => $"the option can't have the value {value}",
            DiagnosticReason.NotImplemented => $"the command is well formed, but this version does not implement it",
            DiagnosticReason.ObjectNotFound => $"no object has the id {id}",
            DiagnosticReason.ObjectOfOtherType => $"object {id} is {(type == "IOAS" || type == "access" ? "an" : "a")} {type}, the command needs another kind",
            DiagnosticReason.ObjectHeld => $"{type} {id} is held by {Holders(diagnostic)}",
            DiagnosticReason.ContextHasObjects => $"the option can be set only while the context has no object; it has {Holders(diagnostic)}",
            DiagnosticReason.NoCompatIoas => $"no compatibility IOAS is set",
            DiagnosticReason.HoldNotFound => $"the context has no hold {value}",
            DiagnosticReason.InvalidName => $"a name has 1 to {IoctlLimits.MaxNameLength} characters, and kinds and modes are those of the interface",
            DiagnosticReason.NoFreeId => $"every object id of the context is taken",
            DiagnosticReason.RequestTooLarge => $"the request has {value}, the service accepts {limit}",
            DiagnosticReason.MappingWithoutAccess => $"the flags 0x{value:X} make the mapping neither readable nor writeable",
            DiagnosticReason.RangeOverflow => $"0x{limit:X} bytes from 0x{value:X} on pass the end of 64 bits",
            DiagnosticReason.Misaligned => $"0x{value:X} is not aligned to {limit}",
            DiagnosticReason.EmptyRange => $"the length is 0",
            DiagnosticReason.AreaInTheWay => $"0x{value:X} can't be mapped, {diagnostic.Overlap} already is",
            DiagnosticReason.ReservedInTheWay => $"{diagnostic.Overlap} is reserved",
            DiagnosticReason.AllowedInTheWay => $"{diagnostic.Overlap} must stay allowed",
            DiagnosticReason.NoHole => $"0x{value:X} bytes find no place, the largest hole has 0x{limit:X}",
            DiagnosticReason.RangeNotMapped => diagnostic.Overlap is { } near
                ? $"0x{limit:X} bytes from 0x{value:X} on are not mapped as whole areas; the nearest is {near}"
                : (FormattableString)$"0x{limit:X} bytes from 0x{value:X} on are not mapped, nothing is",
            DiagnosticReason.FileNotOpen => $"file descriptor {(int)value} is not open",
            DiagnosticReason.PagesNotWritable => $"the source is mapped for reading only",
            DiagnosticReason.InvalidRangeList => $"a range of the list is empty, descends or overlaps another",
            DiagnosticReason.BufferFault => $"only {value} of {limit} bytes of the array can be accessed",
            DiagnosticReason.ArrayTooSmall => $"the array has room for {value} ranges, there are {limit}",
            DiagnosticReason.UnalignedAreas => $"an area is not aligned to pages",
            DiagnosticReason.MapsProcessMemory => $"IOAS {id} maps memory of a process, only mappings of files can be moved",
            DiagnosticReason.ObjectUnreachable => $"the grain of {type} {id} did not answer or has lost its state",
            DiagnosticReason.UsersDisagree => $"a bug of the service: {type} {id} has users {limit} in its context's table and {value} in its grain, so it was not destroyed",
            DiagnosticReason.DeviceAttached => $"device {id} is attached already",
            DiagnosticReason.DeviceNotAttached => $"device {id} is not attached",
            DiagnosticReason.GroupAttachedElsewhere => $"the devices of its IOMMU group are attached to HWPT {id}",
            DiagnosticReason.NotAPageTable => $"{type} {id} is no page table, a device attaches to an IOAS or a HWPT",
            DiagnosticReason.DeviceIncompatible => $"the IOMMU in front of the device can't use this page table",
            DiagnosticReason.PasidIncompatible => $"PASIDs are attached to HWPTs that were allocated for them, and beside them a device is too: {type} {id} was not",
            DiagnosticReason.IommuLacksFeature => $"the IOMMU in front of the device makes no page table with the flags 0x{value:X} or this data",
            DiagnosticReason.UnknownIommu => $"there is no such IOMMU driver",
            DiagnosticReason.InvalidDevice => $"the device needs a name, an IOMMU that keeps caches coherent, sound reserved regions and a PASID width that exists",
            DiagnosticReason.InvalidDataLength => $"data of the type 0x{value:X} can't have {limit} bytes",
            DiagnosticReason.NotNestParent => $"{type} {id} was not allocated as a nest parent",
            DiagnosticReason.MemoryNotPinnable => $"the memory behind {diagnostic.Overlap} can't be pinned: it isn't there, isn't writable, or is no memfd",
            DiagnosticReason.OutsideAperture => $"something is mapped or allowed in {diagnostic.Overlap}, which lies outside the aperture",
            DiagnosticReason.AreasMisaligned => $"an area is not aligned to {limit} bytes",
            DiagnosticReason.DirtyTrackingUnsupported => $"the HWPT was not allocated with dirty tracking",
            DiagnosticReason.DirtyTrackingDisabled => $"dirty tracking is not enabled",
            DiagnosticReason.InvalidDirtyRange => $"the range at 0x{value:X} is empty, or not whole pages of 0x{limit:X} bytes",
            DiagnosticReason.NotAnAccess => $"file descriptor {(int)value} is no access of an open context",
            DiagnosticReason.AccessDoesNotPin => $"access {id} was not made to pin pages",
            DiagnosticReason.AccessNotAttached => $"access {id} is not attached to an IOAS",
            DiagnosticReason.AccessAttached => $"access {id} is attached already",
            DiagnosticReason.NoFreeDescriptor => $"the ioctl opens a file, and there is no descriptor for it",
            DiagnosticReason.AccessDenied => $"what is mapped at 0x{value:X} does not permit this access",
            DiagnosticReason.PinNotFound => $"the access has no pin {value}; unmapping its IOVAs revokes a pin",
            DiagnosticReason.UnexpectedPages => $"the memory behind 0x{value:X} is not what was expected",
            DiagnosticReason.UnexpectedPinCount => $"the page at 0x{value:X} is pinned {limit} times",
            DiagnosticReason.UnexpectedCache => $"the cache entry has 0x{value:X}, or there is none",
            DiagnosticReason.LeafObject => $"{type} {id} is its driver's own, nobody else can hold it",
            DiagnosticReason.JournalDamaged => $"the context's journal is damaged {(value == 0 ? "in its snapshot" : $"at record {value}")}; nothing of it is changed any more",
            DiagnosticReason.JournalDiverged => $"doing record {value} of the context's journal again gave another answer than was journaled: another version wrote it",
            DiagnosticReason.NoJournal => $"the silo has no journal, and so no durable contexts",
            DiagnosticReason.SessionNotFound => $"the session has no reference to the context: it was closed, or its lease is over",
            DiagnosticReason.OperationSettled => $"request {value} of the session was settled before it came",
            DiagnosticReason.TooManyUnsettled => $"the session has {limit} requests under way already",
            DiagnosticReason.TooManyObjects => $"the context has {limit} already, as many as it can",
            DiagnosticReason.TooManyReferences => $"there are {limit} already, as many as there can be",
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
        DiagnosticReason.ObjectHeld => $"let the holder{(diagnostic.HolderCount == 1 ? "" : "s")} go first",
        DiagnosticReason.ContextHasObjects => "set it right after opening the context, or destroy the objects first",
        DiagnosticReason.ContextNotOpen => "open a context and use its handle",
        DiagnosticReason.AreaInTheWay => "unmap it, or map elsewhere",
        DiagnosticReason.NoHole => "unmap something, or allow more",
        DiagnosticReason.RangeNotMapped => "unmap or copy what one map call mapped, or several of them together",
        DiagnosticReason.ArrayTooSmall => "make the array larger and ask again",
        DiagnosticReason.DeviceAttached => "detach it first, or replace its page table",
        DiagnosticReason.GroupAttachedElsewhere => "attach all devices of the group to the same page table",
        DiagnosticReason.OutsideAperture => "unmap it or allow less, then attach again",
        DiagnosticReason.MemoryNotPinnable => "unmap it, or map memory that is there and writable",
        DiagnosticReason.DirtyTrackingUnsupported => "allocate the HWPT with IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
        DiagnosticReason.PasidIncompatible => "allocate the HWPTs of the device and of its PASIDs with IOMMU_HWPT_ALLOC_PASID",
        DiagnosticReason.NoFreeDescriptor => "issue it with memory that has a table of descriptors (ICallerMemory.InstallFile), or close some",
        DiagnosticReason.NotNestParent => "allocate the HWPT with IOMMU_HWPT_ALLOC_NEST_PARENT",
        DiagnosticReason.NoCompatIoas => "set one with IOMMU_VFIO_IOAS and op SET",
        DiagnosticReason.ArgumentTooShort => "put the struct's size into its first u32",
        DiagnosticReason.UnknownBytesNotZero => "zero what the service does not know, or pass a smaller size",
        DiagnosticReason.UnknownNumber or DiagnosticReason.UnknownCommand when errno == Errno.ENOTTY => "ioctl numbers are _IO(';', 0x80) to _IO(';', 0x94)",
        _ => "",
    };

    private static string Holders(IoctlDiagnostic diagnostic)
    {
        var listed = string.Join(", ", diagnostic.Holders.Select(holder => holder.ToString()));
        var more = diagnostic.HolderCount - diagnostic.Holders.Length;
        return more > 0 ? $"{listed} and {more} more" : listed.Length > 0 ? listed : "ids that are taken for good";
    }
}
