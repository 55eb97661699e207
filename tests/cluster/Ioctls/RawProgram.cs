using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A program that acts on a context by raw ioctls, with memory and a descriptor table of its own.</summary>
internal sealed class RawProgram(IommuContext context)
{
    public CallerMemory Memory { get; } = new();

    /// <summary>Issues an IOMMU_TEST_CMD, and answers its errno and its fields.</summary>
    public async Task<(Errno Errno, T Fields)> TestAsync<T>(IommuTestOp op, uint id, T fields)
        where T : unmanaged
    {
        var argument = UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) });
        var result = await context.IoctlAsync((uint)IommuCommand.TestCmd, argument, Memory);
        return (result.Errno, UapiStruct.Read<IommuTestCmd>(argument).Fields.As<T>());
    }

    /// <summary>Issues an IOMMU_IOAS_MAP at a fixed IOVA.</summary>
    public async Task MapAsync(ObjectId ioas, ulong address, ulong length, ulong iova, bool writeable = true)
    {
        var flags = IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | (writeable ? IommuIoasMapFlags.Writeable : 0);
        var map = new IommuIoasMap { Size = 40, Flags = (uint)flags, IoasId = ioas.Value, UserVa = address, Length = length, Iova = iova };
        (await context.IoctlAsync((uint)IommuCommand.IoasMap, UapiStruct.ToBytes(map), Memory)).ThrowIfFailed();
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
}
