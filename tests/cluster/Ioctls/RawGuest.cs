using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A program whose guest has a device of the selftest, a page table that others can nest on, and a vIOMMU.</summary>
internal sealed record RawGuest(RawProgram Program, IommuTestMockDomain Device, ObjectId Parent, ObjectId Viommu)
{
    /// <summary>Where the program's memory starts: a few pages.</summary>
    public const ulong Data = 0x5000_0000;

    /// <summary>Where no memory is.</summary>
    public const ulong Nowhere = 0x7000_0000;

    /// <summary>The id of no object.</summary>
    public const uint Missing = 777;

    public static async Task<RawGuest> MakeAsync(IommuContext context, ObjectId ioas, IommuTestDeviceFlags flags = IommuTestDeviceFlags.None)
    {
        var program = new RawProgram(context);
        program.Memory.Add(Data, new byte[4 * 4096]);
        var (errno, device) = await program.TestAsync(IommuTestOp.MockDomainFlags, ioas.Value, new IommuTestMockDomain { DevFlags = (uint)flags });
        Assert.Equal(Errno.None, errno);
        var parent = await context.AllocateHwptAsync(new ObjectId(device.OutIdevId), ioas, IommuHwptAllocFlags.NestParent);
        return new RawGuest(program, device, parent, await context.AllocateViommuAsync(new ObjectId(device.OutIdevId), parent, IommuViommuType.Selftest));
    }

    /// <summary>The argument that makes a page table on the parent or the vIOMMU. Its data are at the start of the program's memory.</summary>
    public IommuHwptAlloc Nested(ObjectId pageTable) => new()
    {
        DevId = Device.OutIdevId,
        PtId = pageTable.Value,
        DataType = (uint)IommuHwptDataType.Selftest,
        DataLen = 8,
        DataUptr = Data,
    };

    /// <summary>Makes a page table on the parent or the vIOMMU.</summary>
    public async Task<ObjectId> NestAsync(ObjectId pageTable) => new((await Program.IoctlAsync(IommuCommand.HwptAlloc, Nested(pageTable))).OutHwptId);

    /// <summary>Attaches the device to another page table.</summary>
    public Task ReplaceAsync(ObjectId pageTable)
        => Program.ExpectAsync($"page table {pageTable}", Errno.None, IommuTestOp.MockDomainReplace, Device.OutStdevId, new IommuTestMockDomainReplace { PtId = pageTable.Value });
}
