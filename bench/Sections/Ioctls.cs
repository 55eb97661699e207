using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

/// <summary>The requests that are measured, made before the clock starts.</summary>
internal static class Ioctls
{
    public static IoctlRequest Alloc { get; } = Request(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    public static IoctlRequest GetRlimitMode { get; } = Option(IommuOptionId.RlimitMode, IommuOptionOp.Get, default);

    public static IoctlRequest Destroy(ObjectId id) => Request(IommuCommand.Destroy, new IommuDestroy { Id = id.Value });

    public static IoctlRequest HugePages(ObjectId id, IommuOptionOp op) => Option(IommuOptionId.HugePages, op, id);

    public static ObjectId AllocatedId(IoctlReply reply) => new(UapiStruct.Read<IommuIoasAlloc>(reply.Argument).OutIoasId);

    public static IoctlRequest Request<T>(IommuCommand command, T argument)
        where T : unmanaged
        => IommuContext.Request(command, in argument);

    private static IoctlRequest Option(IommuOptionId option, IommuOptionOp op, ObjectId id)
        => Request(IommuCommand.Option, new IommuOption { OptionId = (uint)option, Op = (ushort)op, ObjectId = id.Value });
}
