using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>The measured requests, built before the clock starts.</summary>
internal static class Ioctls
{
    public const ulong PageBytes = 4096;
    public const ulong UserVa = 0x7000_0000_0000;

    public static IoctlRequest Alloc { get; } = Request(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    public static IoctlRequest GetRlimitMode { get; } = Option(IommuOptionId.RlimitMode, IommuOptionOp.Get, default);

    public static IoctlRequest Destroy(ObjectId id) => Request(IommuCommand.Destroy, new IommuDestroy { Id = id.Value });

    public static IoctlRequest HugePages(ObjectId id, IommuOptionOp op) => Option(IommuOptionId.HugePages, op, id);

    /// <summary>Maps one page of the caller's memory at an IOVA, readable and writeable.</summary>
    public static IoctlRequest MapPage(ObjectId ioas, ulong iova)
        => Map(new IommuIoasMap { Flags = 7, IoasId = ioas.Value, UserVa = UserVa, Length = PageBytes, Iova = iova });

    /// <summary>Maps caller memory that is declared readable and writeable; none of it is touched.</summary>
    public static IoctlRequest Map(IommuIoasMap cmd)
        => IommuContext.Request(
            IommuCommand.IoasMap, in cmd,
            [new UserBuffer { Address = cmd.UserVa, Length = cmd.Length, ReadableBytes = cmd.Length, WritableBytes = cmd.Length }]);

    /// <summary>Creates an emulated device with an owner and attaches it to an IOAS; the first one allocates a HWPT.</summary>
    public static IoctlRequest MockDomain(ObjectId ioas)
        => Request(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.MockDomain, Id = ioas.Value });

    public static ObjectId AllocatedId(IoctlReply reply) => new(UapiStruct.Read<IommuIoasAlloc>(reply.Argument).OutIoasId);

    public static IoctlRequest Request<T>(IommuCommand command, T argument)
        where T : unmanaged
        => IommuContext.Request(command, in argument);

    private static IoctlRequest Option(IommuOptionId option, IommuOptionOp op, ObjectId id)
        => Request(IommuCommand.Option, new IommuOption { OptionId = (uint)option, Op = (ushort)op, ObjectId = id.Value });
}
