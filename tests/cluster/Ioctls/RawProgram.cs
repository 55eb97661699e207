using System.Buffers.Binary;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A program that acts on a context by raw ioctls, with memory and a descriptor table of its own.</summary>
internal sealed class RawProgram(IommuContext context)
{
    private ulong _readOnly = 0x7F00_0000_0000;

    public CallerMemory Memory { get; } = new();

    public IommuContext Context { get; } = context;

    /// <summary>Issues an IOMMU_TEST_CMD, and answers its errno and its fields.</summary>
    public async Task<(Errno Errno, T Fields)> TestAsync<T>(IommuTestOp op, uint id, T fields)
        where T : unmanaged
    {
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) });
        var result = await Context.IoctlAsync((uint)IommuCommand.TestCmd, argument, Memory);
        return (result.Errno, UapiStruct.Read<IommuTestCmd>(argument).Fields.As<T>());
    }

    /// <summary>Issues an IOMMU_IOAS_MAP at a fixed IOVA.</summary>
    public async Task MapAsync(ObjectId ioas, ulong address, ulong length, ulong iova, bool writeable = true)
    {
        var flags = IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | (writeable ? IommuIoasMapFlags.Writeable : 0);
        var map = new IommuIoasMap { Size = 40, Flags = (uint)flags, IoasId = ioas.Value, UserVa = address, Length = length, Iova = iova };
        (await Context.IoctlAsync((uint)IommuCommand.IoasMap, UapiStruct.ToBytes(map), Memory)).ThrowIfFailed();
    }

    /// <summary>Makes an emulated device and attaches it.</summary>
    public async Task<IommuTestMockDomain> MockDomainAsync(ObjectId pageTable)
    {
        var (errno, fields) = await TestAsync(IommuTestOp.MockDomain, pageTable.Value, default(IommuTestMockDomain));
        Assert.Equal(Errno.None, errno);
        return fields;
    }

    /// <summary>Makes an access, and answers its descriptor.</summary>
    public async Task<uint> CreateAccessAsync(ObjectId ioas, IommuTestCreateAccessFlags flags = IommuTestCreateAccessFlags.None)
    {
        var (errno, fields) = await TestAsync(IommuTestOp.CreateAccess, ioas.Value, new IommuTestCreateAccess { Flags = (uint)flags });
        Assert.Equal(Errno.None, errno);
        return fields.OutAccessFd;
    }

    /// <summary>Checks the errno of an op, by what the case is about.</summary>
    public async Task ExpectAsync<T>(string what, Errno expected, IommuTestOp op, uint id, T fields)
        where T : unmanaged
    {
        var (errno, _) = await TestAsync(op, id, fields);
        Assert.True(errno == expected, $"{op}, {what}: expected {expected}, was {errno}");
    }

    /// <summary>Issues a command, and answers its argument.</summary>
    public async Task<T> IoctlAsync<T>(IommuCommand command, T argument)
        where T : unmanaged
    {
        var bytes = Sized(argument);
        (await Context.IoctlAsync((uint)command, bytes, Memory)).ThrowIfFailed();
        return UapiStruct.Read<T>(bytes);
    }

    /// <summary>Checks the errno of a command and the reason, by what each case is about.</summary>
    public async Task ExpectAsync<T>(IommuCommand command, params (string What, Errno Errno, DiagnosticReason Reason, T Argument)[] cases)
        where T : unmanaged
    {
        foreach (var (what, errno, reason, argument) in cases)
        {
            var result = await Context.IoctlAsync((uint)command, Sized(argument), Memory);
            var actual = (result.Errno, result.Diagnostic?.Reason ?? DiagnosticReason.None);
            Assert.True(actual == (errno, reason), $"{command}, {what}: expected {errno} for {reason}, was {actual.Errno} for {actual.Item2}");
        }
    }

    /// <summary>Issues a command whose answer can't be written.</summary>
    public async Task<Errno> UnwritableAsync<T>(IommuCommand command, T argument)
        where T : unmanaged
    {
        _readOnly += 0x1000;
        Memory.Add(_readOnly, Sized(argument), MemoryAccess.Read);
        return (await Context.IoctlAsync((uint)command, _readOnly, Memory)).Errno;
    }

    // Every argument begins with its size.
    private static byte[] Sized<T>(T argument)
        where T : unmanaged
    {
        var bytes = UapiStruct.ToBytes(in argument);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        return bytes;
    }
}
