using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>The errnos of the commands on IO address spaces that the context decides, or that need the caller's memory. The model's own are unit tests.</summary>
public sealed class IoasErrnoTests : IAsyncLifetime
{
    private const ulong Array = 0x5000;
    private const uint Missing = 77;

    private IHost _host = null!;
    private IommuContext _context = null!;
    private ObjectId _ioas;

    public static TheoryData<IommuCommand, uint, uint> CommandsWithAnIoas => new()
    {
        // The command, and where in its argument the IOAS' id and a field that must be valid stand.
        { IommuCommand.IoasMap, 8, 4 },
        { IommuCommand.IoasMapFile, 8, 4 },
        { IommuCommand.IoasUnmap, 4, 0 },
        { IommuCommand.IoasCopy, 12, 4 },
        { IommuCommand.IoasIovaRanges, 4, 0 },
        { IommuCommand.IoasAllowIovas, 4, 0 },
    };

    public async Task InitializeAsync()
    {
        _host = await SiloHost.StartInProcessAsync();
        _context = await new IommufdClient(_host.Services.GetRequiredService<IGrainFactory>()).OpenAsync();
        _ioas = await _context.AllocateIoasAsync();
    }

    public async Task DisposeAsync()
    {
        await _context.DisposeAsync();
        await _host.StopAsync();
        _host.Dispose();
    }

    [Theory]
    [MemberData(nameof(CommandsWithAnIoas))]
    public async Task An_IOAS_that_is_not_there_is_ENOENT(IommuCommand command, uint idOffset, uint flagsOffset)
    {
        var argument = new byte[IoctlTable.Get(command).Size];
        argument[0] = (byte)argument.Length;
        argument[idOffset] = (byte)Missing;
        if (flagsOffset > 0)
        {
            argument[flagsOffset] = (byte)IommuIoasMapFlags.Readable;
        }

        var result = await _context.IoctlAsync((uint)command, argument);

        Assert.Equal((Errno.ENOENT, new ObjectId(Missing)), (result.Errno, result.Diagnostic!.ObjectId));
    }

    [Fact]
    public async Task A_copy_to_an_IOAS_that_is_not_there_is_ENOENT_only_when_the_source_is_mapped()
    {
        await _context.MapAsync(_ioas, new byte[4096], new Iova(0x10000));
        var cmd = new IommuIoasCopy { Flags = (uint)IommuIoasMapFlags.Readable, SrcIoasId = _ioas.Value, DstIoasId = Missing, Length = 4096, SrcIova = 0x10000 };

        var noDestination = await _context.IoctlAsync(IommuCommand.IoasCopy, cmd);
        var noSource = await _context.IoctlAsync(IommuCommand.IoasCopy, cmd with { SrcIova = 0x90000 });

        Assert.Equal((Errno.ENOENT, DiagnosticReason.ObjectNotFound), (noDestination.Errno, noDestination.Diagnostic!.Reason));
        Assert.Equal((Errno.ENOENT, DiagnosticReason.IovaNotMapped), (noSource.Errno, noSource.Diagnostic!.Reason));
    }

    [Fact]
    public async Task Reserved_fields_must_be_0_or_EOPNOTSUPP()
    {
        var results = new[]
        {
            await _context.IoctlAsync(IommuCommand.IoasMap, new IommuIoasMap { IoasId = _ioas.Value, Flags = 4, Reserved = 1, Length = 1 }),
            await _context.IoctlAsync(IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { IoasId = _ioas.Value, Reserved = 1 }),
            await _context.IoctlAsync(IommuCommand.IoasAllowIovas, new IommuIoasAllowIovas { IoasId = _ioas.Value, Reserved = 1 }),
            await _context.IoctlAsync(IommuCommand.IoasChangeProcess, new IommuIoasChangeProcess { Reserved = 1 }),
        };

        Assert.All(results, result => Assert.Equal((Errno.EOPNOTSUPP, DiagnosticReason.ReservedNotZero), (result.Errno, result.Diagnostic!.Reason)));
    }

    [Fact]
    public async Task An_answer_that_cannot_be_written_is_EFAULT_and_maps_and_unmaps_nothing()
    {
        await _context.MapAsync(_ioas, new byte[4096], new Iova(0x10000));
        var map = UapiStruct.ToBytes(new IommuIoasMap { Size = 40, Flags = 5, IoasId = _ioas.Value, UserVa = 0x1000, Length = 4096, Iova = 0x40000 });
        var unmap = UapiStruct.ToBytes(new IommuIoasUnmap { Size = 24, IoasId = _ioas.Value, Iova = 0x10000, Length = 4096 });
        var readOnly = new CallerMemory().Add(0x1000, map, MemoryAccess.Read).Add(0x2000, unmap, MemoryAccess.Read);

        Assert.Equal(Errno.EFAULT, (await _context.IoctlAsync((uint)IommuCommand.IoasMap, 0x1000, readOnly)).Errno);
        Assert.Equal(Errno.EFAULT, (await _context.IoctlAsync((uint)IommuCommand.IoasUnmap, 0x2000, readOnly)).Errno);

        Assert.Equal([0x10000UL], (await StateAsync()).Areas.Select(area => area.Range.Start));
    }

    [Fact]
    public async Task A_file_descriptor_that_is_not_open_is_EBADF()
    {
        var cmd = UapiStruct.ToBytes(new IommuIoasMapFile { Size = 40, Flags = 4, IoasId = _ioas.Value, Fd = 9, Length = 4096 });
        var memory = new CallerMemory().AddFile(8, new UserFile("memfd", IsMemfd: true, 1 << 20));

        var closed = await _context.IoctlAsync((uint)IommuCommand.IoasMapFile, cmd, memory);
        cmd[12] = 8;
        var open = await _context.IoctlAsync((uint)IommuCommand.IoasMapFile, cmd, memory);

        Assert.Equal((Errno.EBADF, Errno.None), (closed.Errno, open.Errno));
    }

    [Fact]
    public async Task Ranges_for_which_there_is_no_room_are_counted_with_EMSGSIZE()
    {
        var argument = UapiStruct.ToBytes(new IommuIoasIovaRanges { Size = 32, IoasId = _ioas.Value });

        var result = await _context.IoctlAsync((uint)IommuCommand.IoasIovaRanges, argument);

        Assert.Equal((Errno.EMSGSIZE, 1u), (result.Errno, UapiStruct.Read<IommuIoasIovaRanges>(argument).NumIovas));
    }

    [Fact]
    public async Task Ranges_that_cannot_be_written_or_read_are_EFAULT()
    {
        var ranges = UapiStruct.ToBytes(new IommuIoasIovaRanges { Size = 32, IoasId = _ioas.Value, NumIovas = 4, AllowedIovas = Array });
        var allow = UapiStruct.ToBytes(new IommuIoasAllowIovas { Size = 24, IoasId = _ioas.Value, NumIovas = 2, AllowedIovas = Array });
        var one = UapiStruct.ToBytes(new IommuIovaRange { Start = 0x1000, Last = 0x1FFF });

        Assert.Equal(Errno.EFAULT, (await _context.IoctlAsync((uint)IommuCommand.IoasIovaRanges, ranges)).Errno);
        Assert.Equal(Errno.EFAULT, (await _context.IoctlAsync((uint)IommuCommand.IoasAllowIovas, allow, new CallerMemory().Add(Array, one))).Errno);
        Assert.Empty((await StateAsync()).Allowed);
    }

    [Fact]
    public async Task Allowing_what_is_reserved_and_reserving_what_is_mapped_is_EADDRINUSE()
    {
        await _context.MapAsync(_ioas, new byte[4096], new Iova(0x10000));
        Assert.Equal(Errno.EADDRINUSE, (await ReserveAsync(0x10000, 0x1000)).Errno);
        (await ReserveAsync(0x80000, 0x1000)).ThrowIfFailed();

        var refused = await Assert.ThrowsAsync<IommufdException>(() => _context.AllowIovasAsync(_ioas, [new IovaRange(0x70000, 0x8FFFF)]).AsTask());

        Assert.Equal(Errno.EADDRINUSE, refused.Errno);
    }

    [Fact]
    public async Task A_list_of_ranges_longer_than_travels_is_ENOMEM()
    {
        var count = (IoctlLimits.MaxBufferBytes / 16) + 1;
        var list = new byte[count * 16];
        for (var i = 0; i < count; i++)
        {
            UapiStruct.ToBytes(new IommuIovaRange { Start = (ulong)i << 20, Last = ((ulong)i << 20) + 0xFFF }).CopyTo(list, i * 16);
        }

        var allow = UapiStruct.ToBytes(new IommuIoasAllowIovas { Size = 24, IoasId = _ioas.Value, NumIovas = (uint)count, AllowedIovas = Array });
        var result = await _context.IoctlAsync((uint)IommuCommand.IoasAllowIovas, allow, new CallerMemory().Add(Array, list));

        Assert.Equal((Errno.ENOMEM, DiagnosticReason.RequestTooLarge), (result.Errno, result.Diagnostic!.Reason));
    }

    [Fact]
    public async Task Huge_pages_cannot_be_forbidden_over_areas_that_are_not_aligned_to_pages()
    {
        await _context.MapAsync(_ioas, new byte[100], new Iova(0x10000));

        var refused = await Assert.ThrowsAsync<IommufdException>(() => _context.SetHugePagesAsync(_ioas, enable: false).AsTask());

        Assert.Equal((Errno.EADDRINUSE, DiagnosticReason.UnalignedAreas), (refused.Errno, refused.Diagnostic!.Reason));
        Assert.True(await _context.GetHugePagesAsync(_ioas));
    }

    private async Task<IoctlResult> ReserveAsync(ulong start, ulong length)
    {
        var cmd = new IommuTestCmd { Op = (uint)IommuTestOp.AddReserved, Id = _ioas.Value };
        cmd.Fields[0] = start;
        cmd.Fields[1] = length;
        return await _context.IoctlAsync(IommuCommand.TestCmd, cmd);
    }

    private async Task<IoasState> StateAsync()
        => Assert.IsType<IoasState>((await _context.InspectObjectAsync(_ioas, new StatePage(0, 100)))!.State);
}
