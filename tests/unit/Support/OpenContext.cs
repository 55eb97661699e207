using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Support;

/// <summary>An open context without a silo, and the ioctls on it.</summary>
internal sealed class OpenContext
{
    /// <summary>The context's epoch, as passed to its objects' grains.</summary>
    public const long Epoch = 7;

    public OpenContext(IGrainFactory? factory = null, ILogger? logger = null)
    {
        Expect.Equal(Errno.None, Model.Open(ContextMode.Volatile, "test").Errno, "opening the context");
        ObjectGrains = new ObjectGrains(new ObjectReach(factory ?? Grains.Factory, null), Key, Epoch, logger ?? NullLogger.Instance);
    }

    private OpenContext(byte[] snapshot, FakeGrains? grains, long epoch)
    {
        Grains = grains ?? Grains;
        ObjectGrains = new ObjectGrains(new ObjectReach(Grains.Factory, null), Key, epoch, NullLogger.Instance);
        Model = Now(ContextSnapshots.RestoreAsync(Serialization.Serializer.Deserialize<ContextSnapshot>(snapshot)!, ObjectGrains, ObjectKinds.All), "restoring the context");
    }

    public ContextKey Key { get; } = new ContextHandle(new Guid("00112233-4455-6677-8899-aabbccddeeff")).Key;

    public ContextModel Model { get; } = new();

    /// <summary>A context restored from what <see cref="Capture"/> saved.</summary>
    /// <param name="snapshot">The bytes.</param>
    /// <param name="grains">The grains of the silo; null for fresh ones.</param>
    /// <param name="epoch">Its new epoch.</param>
    public static OpenContext Restore(byte[] snapshot, FakeGrains? grains = null, long epoch = Epoch + 1) => new(snapshot, grains, epoch);

    /// <summary>The programs that have mapped memory; null where nobody can ask them.</summary>
    public ProgramMemory? Programs { get; set; }

    /// <summary>The number of the program that issues ioctls, for tests with several.</summary>
    public long Program { get; init; } = 1;

    /// <summary>Saves the context with its objects' grains.</summary>
    public byte[] Capture() => Serialization.Serializer.SerializeToArray(CaptureSnapshot());

    /// <summary>The same, before serialization.</summary>
    public ContextSnapshot CaptureSnapshot() => Now(ContextSnapshots.CaptureAsync(Model, ObjectGrains), "capturing the context");

    public ObjectTable Objects => Model.Objects;

    public FakeGrains Grains { get; } = new();

    public ObjectGrains ObjectGrains { get; }

    /// <summary>The grain of an object whose grain was called before.</summary>
    public FakeIoas GrainOf(uint id) => Grains[$"{Key}/{id}"];

    /// <summary>Adds a live object.</summary>
    public ObjectEntry Add(ObjectType type = ObjectType.Ioas)
    {
        var entry = Objects.Reserve(type)!;
        Objects.Finalize(entry);
        return entry;
    }

    /// <summary>A driver's reference that can hold objects.</summary>
    public ReferenceId Driver(string name = "driver")
    {
        var reply = Model.Get(ReferenceKind.Driver, name);
        Expect.Equal(Errno.None, reply.Errno, $"the reference of {name}");
        return reply.Reference;
    }

    /// <summary>Lets a driver hold an object.</summary>
    public HoldId Hold(ReferenceId driver, ObjectId id, string why = "test")
    {
        var reply = Model.HoldObject(driver, id, ObjectType.Any, why);
        Expect.Equal(Errno.None, reply.Errno, $"the hold of {id}");
        return reply.Hold;
    }

    /// <summary>Runs an ioctl with a struct as its argument; its size field is set to the struct's size unless it is already set.</summary>
    /// <param name="command">The command.</param>
    /// <param name="argument">The argument.</param>
    /// <param name="writable">Leading bytes of the argument that can be written; null for all.</param>
    public IoctlReply Run<T>(IommuCommand command, T argument, uint? writable = null)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(argument);
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) == 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        }

        return Run(new IoctlRequest { Command = (uint)command, Argument = bytes, WritableBytes = writable ?? (uint)bytes.Length });
    }

    /// <summary>Runs an ioctl. Nothing here waits for another silo, so it completes synchronously.</summary>
    public IoctlReply Run(IoctlRequest request)
    {
        var reply = IoctlDispatcher.DispatchAsync(new IoctlScope(Model, ObjectGrains, Programs), request).AsTask();
        Expect.That(reply.IsCompleted, $"ioctl 0x{request.Command:X} did not answer at once.");
        var answer = reply.GetAwaiter().GetResult();
        var (bytes, most) = (WireSize.Of(answer) - WireSize.Of(answer.Diagnostic), WireSize.MostAnswered([request]));
        Expect.That(bytes <= most, $"ioctl 0x{request.Command:X} is answered {bytes} bytes, at most {most} were to be expected of it.");
        return answer;
    }

    /// <summary>Runs an ioctl that must succeed, and decodes its reply.</summary>
    public T RunOk<T>(IommuCommand command, T argument)
        where T : unmanaged
    {
        var reply = Run(command, argument);
        Expect.Equal(Errno.None, reply.Errno, $"{command} ({reply.Diagnostic})");
        return UapiStruct.Read<T>(reply.Argument);
    }

    /// <summary>Describes everything in the context that an ioctl may change: equal texts mean that nothing has changed.</summary>
    public string Snapshot()
    {
        var objects = Objects.After(0).Select(entry
            => $"{entry.Ref} serial {entry.Serial} users {entry.Users} held by [{string.Join(", ", (object[])entry.DescribeHolders(100))}]");
        return $"rlimit {Model.RlimitMode}, compat {Model.CompatIoas?.Ref}, empty {Objects.IsEmpty}, count {Objects.Count}: {string.Join("; ", objects)}";
    }

    private static T Now<T>(ValueTask<T> running, string what)
    {
        Expect.That(running.IsCompleted, $"It took time: {what}.");
        return running.GetAwaiter().GetResult();
    }
}

/// <summary>Checks of replies that fail.</summary>
internal static class Replies
{
    /// <summary>The reply has this errno and this reason.</summary>
    public static IoctlDiagnostic Fails(this IoctlReply reply, Errno errno, DiagnosticReason reason, string what)
    {
        Expect.Equal((errno, (DiagnosticReason?)reason), (reply.Errno, reply.Diagnostic?.Reason), what);
        Expect.Equal(0, reply.ReturnValue, $"the return value of {what}");
        return reply.Diagnostic!;
    }
}
