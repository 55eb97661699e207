using System.Runtime.InteropServices;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

// The type1 interface against include/uapi/linux/vfio.h: numbers, sizes and fields by hand.

public sealed class VfioTests
{
    [Theory]
    [InlineData(0x3B64, "VFIO_GET_API_VERSION", 8, 8, "arg@0:8", IoctlArgument.Integer)]
    [InlineData(0x3B65, "VFIO_CHECK_EXTENSION", 8, 8, "arg@0:8", IoctlArgument.Integer)]
    [InlineData(0x3B66, "VFIO_SET_IOMMU", 8, 8, "arg@0:8", IoctlArgument.Integer)]
    [InlineData(0x3B70, "VFIO_IOMMU_GET_INFO", 24, 16, "argsz@0:4 flags@4:4 iova_pgsizes@8:8 cap_offset@16:4 pad@20:4", IoctlArgument.Fixed)]
    [InlineData(0x3B71, "VFIO_IOMMU_MAP_DMA", 32, 32, "argsz@0:4 flags@4:4 vaddr@8:8 iova@16:8 size@24:8", IoctlArgument.Fixed)]
    [InlineData(0x3B72, "VFIO_IOMMU_UNMAP_DMA", 24, 24, "argsz@0:4 flags@4:4 iova@8:8 size@16:8", IoctlArgument.Fixed)]
    public void A_command_is_laid_out_as_in_the_kernels_header(uint number, string name, int size, int minSize, string fields, IoctlArgument argument)
    {
        var descriptor = IoctlTable.Find(number)!;
        Expect.Equal((name, size, minSize, argument), (descriptor.Name, descriptor.Size, descriptor.MinSize, descriptor.Argument), $"the command 0x{number:X}");
        Expect.Equal(fields, string.Join(' ', descriptor.Fields.Select(field => $"{field.Name}@{field.Offset}:{field.Size}")), $"the fields of {name}");
    }

    [Theory]
    [InlineData(typeof(VfioDeviceInfo), 24, "Argsz@0 Flags@4 NumRegions@8 NumIrqs@12 CapOffset@16 Pad@20")]
    [InlineData(typeof(VfioRegionInfo), 32, "Argsz@0 Flags@4 Index@8 CapOffset@12 Size@16 Offset@24")]
    [InlineData(typeof(VfioInfoCapHeader), 8, "Id@0 Version@2 Next@4")]
    [InlineData(typeof(VfioRegionInfoCapSparseMmap), 16, "Header@0 NrAreas@8 Reserved@12")]
    [InlineData(typeof(VfioRegionSparseMmapArea), 16, "Offset@0 Size@8")]
    [InlineData(typeof(VfioIrqInfo), 16, "Argsz@0 Flags@4 Index@8 Count@12")]
    [InlineData(typeof(VfioIrqSet), 20, "Argsz@0 Flags@4 Index@8 Start@12 Count@16")]
    [InlineData(typeof(VfioPciHotResetInfo), 12, "Argsz@0 Flags@4 Count@8")]
    [InlineData(typeof(VfioPciDependentDevice), 8, "DevId@0 Segment@4 Bus@6 DevFn@7")]
    [InlineData(typeof(VfioDeviceFeature), 8, "Argsz@0 Flags@4")]
    [InlineData(typeof(VfioDeviceBindIommufd), 24, "Argsz@0 Flags@4 Iommufd@8 OutDevId@12 TokenUuidPtr@16")]
    [InlineData(typeof(VfioDeviceAttachIommufdPt), 16, "Argsz@0 Flags@4 PtId@8 Pasid@12")]
    [InlineData(typeof(VfioDeviceDetachIommufdPt), 12, "Argsz@0 Flags@4 Pasid@8")]
    public void A_struct_of_the_device_file_is_laid_out_as_in_the_kernels_header(Type type, int size, string fields)
    {
        Expect.Equal(size, Marshal.SizeOf(type), $"the size of {type.Name}");
        Expect.Equal(fields, string.Join(' ', type.GetFields().Select(field => $"{field.Name}@{Marshal.OffsetOf(type, field.Name)}")), $"the fields of {type.Name}");
    }

    [Fact]
    public void The_device_files_numbers_are_the_kernels()
        => Expect.Sequence(
            ["GetInfo 107", "GetRegionInfo 108", "GetIrqInfo 109", "SetIrqs 110", "Reset 111", "GetPciHotResetInfo 112", "PciHotReset 113", "IoEventFd 116", "Feature 117",
                "BindIommufd 118", "AttachIommufdPt 119", "DetachIommufdPt 120"],
            Enum.GetValues<VfioDeviceCommand>().Select(command => $"{command} {(uint)command - 0x3B00}"), "the numbers of _IO(';', n)");

    [Fact]
    public void The_numbers_between_are_no_commands()
        => Expect.Sequence(
            [0x3B64, 0x3B65, 0x3B66, 0x3B70, 0x3B71, 0x3B72],
            Enumerable.Range(0x3B00, 0x80).Where(number => IoctlTable.Find((uint)number) is not null),
            "the commands outside iommufd's own table");

    [Fact]
    public void MAP_DMA_names_the_memory_that_it_maps()
    {
        var buffer = Assert.Single(IoctlTable.Find(0x3B71)!.Buffers);
        var argument = UapiStruct.ToBytes(new VfioIommuType1DmaMap { Argsz = 32, Vaddr = 0x1000, Size = 0x3000 });
        Expect.Equal((8, UserBufferAccess.Probe, 0x3000UL), (buffer.PointerOffset, buffer.Access, buffer.LengthIn(argument)), "the memory of MAP_DMA");
    }

    [Fact]
    public void An_integer_travels_as_the_argument_and_no_memory_is_read()
    {
        var request = IoctlMarshaller.CopyIn((uint)VfioCommand.CheckExtension, 0x1_0000_0004, new CallerMemory());
        Expect.Equal((0x1_0000_0004UL, 0U, ArgumentTail.Zero), (BitConverter.ToUInt64(request.Argument), request.WritableBytes, request.Tail), "the integer, and what is writable");
    }

    [Fact]
    public void What_a_command_reads_travels_whatever_argsz_says()
    {
        var bytes = UapiStruct.ToBytes(new VfioIommuType1DmaUnmap { Argsz = 8, Iova = 0x5000, Size = 0x1000 });
        var request = IoctlMarshaller.CopyIn((uint)VfioCommand.IommuUnmapDma, 0x10000, new CallerMemory().Add(0x10000, bytes));
        Expect.Equal((24, 24U), (request.Argument.Length, request.WritableBytes), "bytes read of an argument that says it has 8, and bytes that can be written");
    }
}
