using System.Buffers.Binary;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

/// <summary>The type1 ioctls, where the conformance traces show less than a person wants to see.</summary>
public sealed class CompatTests
{
    private readonly OpenContext _context = new();

    [Theory]
    [InlineData(VfioCommand.IommuGetInfo, 16)]
    [InlineData(VfioCommand.IommuMapDma, 32)]
    [InlineData(VfioCommand.IommuUnmapDma, 24)]
    public void A_struct_command_checks_what_can_be_read_then_argsz_then_the_IOAS(VfioCommand command, int bytes)
    {
        var argument = new byte[32];
        BinaryPrimitives.WriteInt32LittleEndian(argument, bytes - 1);
        Expect.Equal(Errno.EFAULT, Run(command, argument[..(bytes - 1)]).Errno, $"{command} of which {bytes - 1} bytes can be read");
        Expect.Equal(Errno.EINVAL, Run(command, argument).Errno, $"{command} with an argsz of {bytes - 1}");
        BinaryPrimitives.WriteInt32LittleEndian(argument, bytes);
        Expect.Equal((Errno.ENODEV, (DiagnosticReason?)DiagnosticReason.NoCompatIoas), Said(Run(command, argument)), $"{command} without a compatibility IOAS");
    }

    [Fact]
    public void GET_INFO_writes_what_has_room_and_says_how_much_there_is()
    {
        SetCompat();
        var whole = Info(512);
        var (total, offset) = (BinaryPrimitives.ReadInt32LittleEndian(whole), BinaryPrimitives.ReadInt32LittleEndian(whole.AsSpan(16)));
        Expect.Equal((24 + 16 + 16 + 16, 24), (total, offset), "bytes of the answer with one range of IOVAs, and the place of its first capability");
        for (var argsz = 16; argsz < total; argsz++)
        {
            var part = Info(argsz);
            Expect.Equal(Math.Min(argsz, total), part.Length, $"bytes written with an argsz of {argsz}");
            Expect.Equal(total, BinaryPrimitives.ReadInt32LittleEndian(part), $"argsz after an argsz of {argsz}");
            Expect.That(argsz < 20 || BinaryPrimitives.ReadInt32LittleEndian(part.AsSpan(16)) == 0, $"With an argsz of {argsz} not all capabilities fit, but cap_offset is not 0.");
        }
    }

    [Fact]
    public void Type1_cuts_what_was_mapped_at_once_and_type1v2_does_not()
    {
        SetCompat();
        Expect.Equal(Errno.None, Run(VfioCommand.SetIommu, BitConverter.GetBytes((ulong)VfioExtension.Type1V2)).Errno, "SET_IOMMU to type1v2");
        Map(0x10000, 0x4000);
        var (errno, unmapped) = Unmap(0x11000, 0x1000);
        Expect.Equal((Errno.ENOENT, 0UL), (errno, unmapped), "unmapping the middle with type1v2");
        Expect.Equal(Errno.None, Run(VfioCommand.SetIommu, BitConverter.GetBytes((ulong)VfioExtension.Type1)).Errno, "SET_IOMMU to type1");
        Expect.Equal((Errno.None, 0x1000UL), Unmap(0x11000, 0x1000), "unmapping the middle with type1");
        Expect.Equal((Errno.None, 0x3000UL), Unmap(0, 0, VfioDmaUnmapFlags.All), "unmapping all that is left");
        Expect.Equal(0L, _context.ObjectGrains.Areas, "areas that are left");
    }

    [Fact]
    public void An_answer_that_can_t_be_written_is_found_out_before_anything_is_unmapped()
    {
        SetCompat();
        Map(0x10000, 0x1000);
        var reply = Run(VfioCommand.IommuUnmapDma, UapiStruct.ToBytes(new VfioIommuType1DmaUnmap { Argsz = 24, Iova = 0x10000, Size = 0x1000 }), writable: 23);
        Expect.Equal((Errno.EFAULT, 1L), (reply.Errno, _context.ObjectGrains.Areas), "UNMAP_DMA whose answer can't be written, and the areas after it");
    }

    [Fact]
    public void Coherence_is_promised_until_there_is_a_page_table()
    {
        Expect.Equal(Errno.ENODEV, Check(VfioExtension.DmaCacheCoherent).Errno, "CHECK_EXTENSION of coherence without an IOAS");
        var ioas = SetCompat();
        Expect.Equal(1, Check(VfioExtension.DmaCacheCoherent).ReturnValue, "coherence without a page table");
        _context.MockDomain(ioas);
        Expect.Equal(0, Check(VfioExtension.DmaCacheCoherent).ReturnValue, "coherence with one");
    }

    private static (Errno Errno, DiagnosticReason? Reason) Said(IoctlReply reply) => (reply.Errno, reply.Diagnostic?.Reason);

    private uint SetCompat()
    {
        var ioas = _context.AllocateIoas();
        _context.RunOk0(IommuCommand.VfioIoas, new IommuVfioIoas { IoasId = ioas, Op = (ushort)IommuVfioIoasOp.Set });
        return ioas;
    }

    private IoctlReply Check(VfioExtension extension) => Run(VfioCommand.CheckExtension, BitConverter.GetBytes((ulong)extension));

    private byte[] Info(int argsz)
    {
        var argument = new byte[argsz];
        BinaryPrimitives.WriteInt32LittleEndian(argument, argsz);
        var reply = Run(VfioCommand.IommuGetInfo, argument);
        Expect.Equal(Errno.None, reply.Errno, $"GET_INFO with an argsz of {argsz}");
        return reply.Argument!;
    }

    private void Map(ulong iova, ulong length)
    {
        var cmd = new VfioIommuType1DmaMap { Argsz = 32, Flags = 3, Vaddr = 0x10000, Iova = iova, Size = length };
        var reply = Run(VfioCommand.IommuMapDma, UapiStruct.ToBytes(cmd), new UserBuffer { Address = 0x10000, Length = length, ReadableBytes = length, WritableBytes = length });
        Expect.Equal(Errno.None, reply.Errno, $"MAP_DMA at 0x{iova:X} ({reply.Diagnostic})");
    }

    private (Errno Errno, ulong Unmapped) Unmap(ulong iova, ulong length, VfioDmaUnmapFlags flags = VfioDmaUnmapFlags.None)
    {
        var reply = Run(VfioCommand.IommuUnmapDma, UapiStruct.ToBytes(new VfioIommuType1DmaUnmap { Argsz = 24, Flags = (uint)flags, Iova = iova, Size = length }));
        return (reply.Errno, UapiStruct.Read<VfioIommuType1DmaUnmap>(reply.Argument).Size);
    }

    private IoctlReply Run(VfioCommand command, byte[] argument, UserBuffer? buffer = null, uint? writable = null) => _context.Run(new IoctlRequest
    {
        Command = (uint)command,
        Argument = argument,
        WritableBytes = writable ?? (uint)argument.Length,
        Buffers = buffer is null ? null : [buffer],
    });
}
