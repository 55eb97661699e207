using IommuFd.Client;
using IommuFd.ClusterTests.Ioctls;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.ClusterTests.Durability;

/// <summary>What a turn was told of a program's memory belongs to its record: a recovery asks nobody, whatever has become of the memory since.</summary>
public sealed class MemoryRecoveryTests : IAsyncLifetime
{
    private const ulong Page = 0x1000;
    private const ulong Data = 0x7000_0000_0000;
    private const ulong Argument = 0x7100_0000_0000;
    private const ulong Iova = 0x100_0000;

    private readonly string _folder = Directory.CreateTempSubdirectory("iommufd-memory").FullName;
    private JournalSilo _silo = null!;
    private IommuContext _context = null!;
    private RawProgram _program = null!;
    private ObjectId _ioas;

    public async Task InitializeAsync()
    {
        _silo = await JournalSilo.StartAsync(Path.Combine(_folder, "journal.db"));
        _context = await new IommufdClient(_silo.Grains).OpenAsync("vmm", ContextMode.Durable);
        _program = new RawProgram(_context);
        _ioas = await _context.AllocateIoasAsync();
    }

    public async Task DisposeAsync()
    {
        await _context.DisposeAsync();
        await _silo.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_batch_whose_attach_failed_fails_again_though_the_memory_is_back()
    {
        var memory = new byte[Page];
        _program.Memory.Add(Data, memory);
        await _program.MapAsync(_ioas, Data, Page, Iova);
        _program.Memory.Remove(Data);
        _program.Memory.Add(Argument, UapiStruct.ToBytes(new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.MockDomain, Id = _ioas.Value }));
        var results = await _context.CreateBatch().AllocateIoas().Add((uint)IommuCommand.TestCmd, Argument, _program.Memory).AllocateIoas().RunAsync();
        Assert.Equal([Errno.None, Errno.EFAULT, Errno.None], results.Select(result => result.Errno));
        _program.Memory.Add(Data, memory);

        await _silo.StealAsync(_context.Handle);

        await _program.MockDomainAsync(_ioas);
        Assert.Equal([1u, 2u, 3u], (await _context.InspectAsync()).Objects.Where(item => item.Object.Type == ObjectType.Ioas).Select(item => item.Object.Id.Value));
    }

    [Fact]
    public async Task What_was_attached_is_attached_though_the_memory_is_gone()
    {
        _program.Memory.Add(Data, new byte[Page]);
        await _program.MapAsync(_ioas, Data, Page, Iova);
        await _program.MockDomainAsync(_ioas);
        _program.Memory.Remove(Data);
        var before = (await _context.InspectAsync()).Objects.Select(item => item.Object);

        await _silo.StealAsync(_context.Handle);

        var another = await _context.AllocateIoasAsync();
        await _context.DestroyAsync(another);
        Assert.Equal(before, (await _context.InspectAsync()).Objects.Select(item => item.Object));
        await _program.MockDomainAsync(_ioas);
    }

    [Fact]
    public async Task A_recovered_context_asks_the_program_that_mapped_before_it_was_recovered()
    {
        await _program.MapAsync(_ioas, Data, Page, Iova);
        await _silo.StealAsync(_context.Handle);
        await _program.ExpectAsync("memory that is not there yet", Errno.EFAULT, IommuTestOp.MockDomain, _ioas.Value, default(IommuTestMockDomain));

        _program.Memory.Add(Data, new byte[Page]);
        await _program.MockDomainAsync(_ioas);
    }
}
