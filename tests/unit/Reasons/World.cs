using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Reasons;

/// <summary>A context with two IOASes, 1 and 2, and the requests that rows make of it.</summary>
internal sealed class World
{
    public const ulong Page = 0x1000;

    /// <summary>The last page of IOVAs, and of addresses.</summary>
    public const ulong LastPage = ulong.MaxValue - Page + 1;

    /// <summary>The first IOVA that the selftest's IOMMU can map.</summary>
    public const ulong Aperture = TestDevices.ApertureStart;

    /// <summary>An address of the caller's, where mappings and buffers are unless a row says otherwise.</summary>
    public const ulong Memory = 0x10000;

    /// <summary>An id that no object has.</summary>
    public const uint Missing = 77;

    private const uint ReadWrite = (uint)(IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable);

    private Guest? _guest;
    private ReferenceId? _driver;

    public World()
    {
        Context.AllocateIoas();
        Context.AllocateIoas();
    }

    public OpenContext Context { get; } = new();

    /// <summary>Where the ioctls from now on are to fail; null for nowhere.</summary>
    public FaultInjection? Fault { get; set; }

    /// <summary>The failure points that the last of them has passed.</summary>
    public uint FailurePoints { get; private set; }

    /// <summary>One object of each kind, from id 3 on.</summary>
    public Guest Guest => _guest ??= Context.Guest();

    public ReferenceId Driver => _driver ??= Context.Driver();

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Ioctl<T>(IommuCommand command, T argument, UserBuffer? buffer = null, UserFile? file = null, uint? writable = null)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BitConverter.TryWriteBytes(bytes, bytes.Length);
        return Send(new IoctlRequest
        {
            Command = (uint)command,
            Argument = bytes,
            WritableBytes = writable ?? (uint)bytes.Length,
            Buffers = buffer is null ? null : [buffer],
            File = file,
            Fault = Fault,
        });
    }

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Send(IoctlRequest request)
    {
        var reply = Context.Run(request);
        FailurePoints = reply.FailurePoints;
        return (reply.Errno, reply.Diagnostic);
    }

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Test<T>(IommuTestOp op, uint id, T fields, UserBuffer? buffer = null, UserFile? file = null)
        where T : unmanaged
        => Ioctl(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) }, buffer, file);

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Ask(DriverRequest request, ReferenceId? driver = null)
    {
        var reply = Context.Ask(driver ?? Driver, request);
        return (reply.Errno, reply.Diagnostic);
    }

    public (Errno Errno, IoctlDiagnostic? Diagnostic) File(FileTarget target, FileRequest request)
    {
        var reply = FileDispatcher.DispatchAsync(new IoctlScope(Context.Model, Context.ObjectGrains), target, request).AsTask();
        Expect.That(reply.IsCompleted, $"{request} did not answer at once.");
        return (reply.Result.Errno, reply.Result.Diagnostic);
    }

    /// <summary>The file that was opened with a queue.</summary>
    public FileTarget FileOf(uint queue)
    {
        var reference = Context.Model.References.Single(reference => reference.Held().Any(hold => hold.Target.Id.Value == queue));
        return new FileTarget(Context.Key, reference.Id, Context.Objects.Find(queue)!.Type, new ObjectId(queue));
    }

    /// <summary>Closes the file of a queue, and destroys the queue.</summary>
    public void Destroy(uint queue)
    {
        var closing = ContextOperations.PutAsync(new IoctlScope(Context.Model, Context.ObjectGrains), FileOf(queue).Reference);
        Expect.That(closing.IsCompletedSuccessfully, $"The file of queue {queue} was not closed at once.");
        Context.Destroy(queue);
    }

    /// <summary>A step before the one that fails.</summary>
    public World With(Func<World, (Errno Errno, IoctlDiagnostic? Diagnostic)> step)
    {
        var (errno, diagnostic) = step(this);
        Expect.Equal(Errno.None, errno, $"a step that prepares the failure ({diagnostic})");
        return this;
    }

    /// <summary>IOMMU_IOAS_MAP, at a fixed IOVA if one is given.</summary>
    public (Errno Errno, IoctlDiagnostic? Diagnostic) Map(
        ulong? iova = null, ulong length = Page, ulong address = Memory, uint ioas = 1, uint flags = ReadWrite, uint reserved = 0, bool isThere = true)
    {
        var bytes = isThere ? length : 0;
        return Ioctl(
            IommuCommand.IoasMap,
            new IommuIoasMap { Flags = Fixed(flags, iova), IoasId = ioas, UserVa = address, Length = length, Iova = iova ?? 0, Reserved = reserved },
            new UserBuffer { Address = address, Length = length, ReadableBytes = bytes, WritableBytes = bytes });
    }

    public (Errno Errno, IoctlDiagnostic? Diagnostic) MapFile(UserFile? file, ulong? iova = null, ulong length = Page, ulong start = 0, uint ioas = 1) => Ioctl(
        IommuCommand.IoasMapFile,
        new IommuIoasMapFile { Flags = Fixed(ReadWrite, iova), IoasId = ioas, Fd = 3, Start = start, Length = length, Iova = iova ?? 0 },
        file: file);

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Copy(ulong source, ulong length, ulong? iova = null, uint from = 1, uint to = 2, uint flags = ReadWrite) => Ioctl(
        IommuCommand.IoasCopy, new IommuIoasCopy { Flags = Fixed(flags, iova), SrcIoasId = from, DstIoasId = to, Length = length, SrcIova = source, DstIova = iova ?? 0 });

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Unmap(ulong iova, ulong length, uint ioas = 1)
        => Ioctl(IommuCommand.IoasUnmap, new IommuIoasUnmap { IoasId = ioas, Iova = iova, Length = length });

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Allow(params IovaRange[] ranges)
        => Allow((uint)ranges.Length, [.. ranges.SelectMany(range => UapiStruct.ToBytes(new IommuIovaRange { Start = range.Start, Last = range.Last }))]);

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Allow(uint count, byte[] list, ulong? readable = null, uint ioas = 1) => Ioctl(
        IommuCommand.IoasAllowIovas,
        new IommuIoasAllowIovas { IoasId = ioas, NumIovas = count, AllowedIovas = Memory },
        In(list, readable));

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Reserve(ulong start, ulong length, uint ioas = 1)
        => Test(IommuTestOp.AddReserved, ioas, new IommuTestCheckRefs { Length = start, Uptr = length });

    public (Errno Errno, IoctlDiagnostic? Diagnostic) Option(IommuOptionId option, ushort op, ulong value = 0, uint id = 0)
        => Ioctl(IommuCommand.Option, new IommuOption { OptionId = (uint)option, Op = op, ObjectId = id, Val64 = value });

    /// <summary>Switches huge pages off, so that IOVA, length and memory must be aligned to pages.</summary>
    public (Errno Errno, IoctlDiagnostic? Diagnostic) AlignToPages(uint ioas) => Option(IommuOptionId.HugePages, (ushort)IommuOptionOp.Set, 0, ioas);

    /// <summary>A buffer with bytes that the caller passes.</summary>
    public static UserBuffer In(byte[] content, ulong? readable = null, int index = 0) => new()
    {
        Index = (byte)index,
        Address = Memory,
        Length = (ulong)content.Length,
        ReadableBytes = readable ?? (ulong)content.Length,
        Content = content[..(int)Math.Min(readable ?? (ulong)content.Length, IoctlLimits.MaxBufferBytes)],
        WritableBytes = readable ?? (ulong)content.Length,
    };

    public static byte[] Bytes<T>(params T[] values)
        where T : unmanaged
        => [.. values.SelectMany(value => UapiStruct.ToBytes(in value))];

    private static uint Fixed(uint flags, ulong? iova) => flags | (iova is null ? 0 : (uint)IommuIoasMapFlags.FixedIova);
}
