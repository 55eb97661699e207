using IommuFd.Uapi;
using static IommuFd.Uapi.Errno;

namespace IommuFd.Linearizability;

// What a context answers, specified a second time: from docs/compatibility.md and Linux's include/uapi/linux/iommufd.h, without any of the
// service's own models, so that the two don't share mistakes. It is written to be read, not to be fast, and covers only what chaos runs ask for.
//
// Assumed: arguments have their command's full size, and can be read and written; memory that ioctls name is present. A failed unmap leaves
// the areas before the failure unmapped, and a failed invalidation the entries before it invalidated; any other error changes nothing.
//
// This file has the ids and the options; .Mappings.cs IOASes; .Devices.cs what MOCK_DOMAIN creates, and how it is attached; .Nesting.cs page tables that are
// allocated, and the IOMMUs of guests.

/// <summary>A context that runs one ioctl after the other.</summary>
internal sealed partial class ContextSpecification : ISpecification<ContextState>
{
    public ContextState Initial => ContextState.Empty;

    /// <inheritdoc/>
    public (ContextState Next, IoctlAnswer Answer) Apply(ContextState state, Ioctl ioctl) => (IommuCommand)ioctl.Command switch
    {
        IommuCommand.Destroy => Destroy(state, Read<IommuDestroy>(ioctl)),
        IommuCommand.IoasAlloc => IoasAlloc(state, Read<IommuIoasAlloc>(ioctl)),
        IommuCommand.IoasMap => IoasMap(state, Read<IommuIoasMap>(ioctl)),
        IommuCommand.IoasUnmap => IoasUnmap(state, Read<IommuIoasUnmap>(ioctl)),
        IommuCommand.IoasCopy => IoasCopy(state, Read<IommuIoasCopy>(ioctl)),
        IommuCommand.Option => Option(state, Read<IommuOption>(ioctl)),
        IommuCommand.HwptAlloc => HwptAlloc(state, Read<IommuHwptAlloc>(ioctl)),
        IommuCommand.HwptInvalidate => HwptInvalidate(state, Read<IommuHwptInvalidate>(ioctl)),
        IommuCommand.ViommuAlloc => ViommuAlloc(state, Read<IommuViommuAlloc>(ioctl)),
        IommuCommand.VdeviceAlloc => VdeviceAlloc(state, Read<IommuVdeviceAlloc>(ioctl)),
        IommuCommand.TestCmd => TestCommand(state, Read<IommuTestCmd>(ioctl)),
        _ => throw OutOfScope($"ioctl 0x{ioctl.Command:X}"),
    };

    // A failing ioctl changes nothing, except UNMAP, which has unmapped the areas before one that it can't unmap, and an invalidation, whose answer says what it did.
    public bool ChangesNothing(Ioctl ioctl, IoctlAnswer answer) => (IommuCommand)ioctl.Command switch
    {
        IommuCommand.HwptInvalidate => answer.Argument.Length > 0 && UapiStruct.Read<IommuHwptInvalidate>(answer.Argument).EntryNum == 0,
        _ when answer.Errno != None => (IommuCommand)ioctl.Command != IommuCommand.IoasUnmap,
        IommuCommand.Option => Read<IommuOption>(ioctl).Op == (ushort)IommuOptionOp.Get,
        IommuCommand.TestCmd => (IommuTestOp)Read<IommuTestCmd>(ioctl).Op is IommuTestOp.MdCheckMap or IommuTestOp.MdCheckIotlb or IommuTestOp.DevCheckCache,
        _ => false,
    };

    // IOMMU_DESTROY: a held object stays. Destroying an object drops its own holds.
    private static (ContextState, IoctlAnswer) Destroy(ContextState state, IommuDestroy cmd) => state.Find(cmd.Id) switch
    {
        null => Fail(state, ENOENT),
        _ when state.IsHeld(cmd.Id) => Fail(state, EBUSY),
        SelftestObject selftest => (Unbind(state.With(cmd.Id, null), selftest.Device), new IoctlAnswer(None)),
        _ => (state.With(cmd.Id, null), new IoctlAnswer(None)),
    };

    private static (ContextState, IoctlAnswer) IoasAlloc(ContextState state, IommuIoasAlloc cmd)
        => cmd.Flags == 0
            ? Succeed(state.With(state.FreeId, new IoasObject()), cmd with { OutIoasId = state.FreeId })
            : Fail(state, EOPNOTSUPP);

    private static (ContextState, IoctlAnswer) Option(ContextState state, IommuOption cmd) => (IommuOptionId)cmd.OptionId switch
    {
        _ when cmd.Reserved != 0 => Fail(state, EOPNOTSUPP),
        IommuOptionId.RlimitMode => RlimitMode(state, cmd),
        IommuOptionId.HugePages => HugePages(state, cmd),
        _ => Fail(state, EOPNOTSUPP),
    };

    // The accounting of pinned memory can be set only while there are no objects.
    private static (ContextState, IoctlAnswer) RlimitMode(ContextState state, IommuOption cmd) => (IommuOptionOp)cmd.Op switch
    {
        _ when cmd.ObjectId != 0 => Fail(state, EOPNOTSUPP),
        IommuOptionOp.Get => Succeed(state, cmd with { Val64 = state.RlimitMode }),
        IommuOptionOp.Set when !state.IsEmpty => Fail(state, EBUSY),
        IommuOptionOp.Set when cmd.Val64 > 1 => Fail(state, EINVAL),
        IommuOptionOp.Set => Succeed(state.WithRlimitMode(cmd.Val64), cmd),
        _ => Fail(state, EOPNOTSUPP),
    };

    // A page table may have mapped areas with huge pages, which can't be split afterwards; and without huge pages everything must be
    // page-aligned.
    private static (ContextState, IoctlAnswer) HugePages(ContextState state, IommuOption cmd)
    {
        if (state.Find<IoasObject>(cmd.ObjectId) is not { } ioas)
        {
            return Fail(state, ENOENT);
        }

        return (IommuOptionOp)cmd.Op switch
        {
            IommuOptionOp.Get => Succeed(state, cmd with { Val64 = ioas.HugePagesOff ? 0UL : 1 }),
            IommuOptionOp.Set when cmd.Val64 > 1 => Fail(state, EINVAL),
            IommuOptionOp.Set when cmd.Val64 == 1 => Succeed(state.With(cmd.ObjectId, ioas with { HugePagesOff = false }), cmd),
            IommuOptionOp.Set when ioas.HugePagesOff => Succeed(state, cmd),
            IommuOptionOp.Set when IsMirrored(state, cmd.ObjectId) && !ioas.Areas.IsEmpty => Fail(state, EINVAL),
            IommuOptionOp.Set when !AreAligned(ioas, MachinePage) => Fail(state, EADDRINUSE),
            IommuOptionOp.Set => Succeed(state.With(cmd.ObjectId, ioas with { HugePagesOff = true }), cmd),
            _ => Fail(state, EOPNOTSUPP),
        };
    }

    private static T Read<T>(Ioctl ioctl)
        where T : unmanaged
    {
        var size = UapiStruct.Read<uint>(ioctl.Argument);
        return size == ioctl.Argument.Length && size == UapiStruct.ToBytes(default(T)).Length
            ? UapiStruct.Read<T>(ioctl.Argument)
            : throw OutOfScope($"an argument whose size is not its command's, {size} of {ioctl.Argument.Length} bytes");
    }

    private static (ContextState, IoctlAnswer) Fail(ContextState state, Errno errno) => (state, new IoctlAnswer(errno));

    private static (ContextState, IoctlAnswer) Succeed<T>(ContextState state, in T argument)
        where T : unmanaged
        => (state, new IoctlAnswer(None, UapiStruct.ToBytes(in argument)));

    private static NotSupportedException OutOfScope(string what) => new($"The specification of a context says nothing about {what}.");
}
