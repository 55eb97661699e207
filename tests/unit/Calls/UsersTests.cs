using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Uapi;
using IommuFd.UnitTests.Objects.Graph;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging;

namespace IommuFd.UnitTests.Calls;

// The table has the edges, the grains derive the counts. Random graphs compare both after every step (RandomGraphTests); here is what each
// count is made of, and what happens where the two disagree.

public sealed class UsersTests
{
    private readonly List<string> _log = [];
    private readonly OpenContext _context;
    private readonly ReferenceId _driver;

    public UsersTests()
    {
        _context = new OpenContext(logger: new ListLogger(_log));
        _driver = _context.Driver();
    }

    [Fact]
    public async Task An_object_that_no_grain_knows_has_no_count_by_its_grain()
        => Expect.Equal(null, await UsersAsync(_context.AllocateIoas()), "users of an IOAS that nothing has called, by its grain");

    [Fact]
    public async Task A_HWPT_counts_at_its_IOAS_and_a_device_at_its_HWPT()
    {
        var ioas = _context.AllocateIoas();
        var (first, second) = (Bind("first"), Bind("second"));
        var hwpt = Attach(first, ioas);
        Expect.Equal((2L, 2L), (await UsersAsync(ioas), await UsersAsync(hwpt)), "users of an IOAS with a HWPT, and of that with a device");
        Attach(second, hwpt);
        Expect.Equal((2L, 3L), (await UsersAsync(ioas), await UsersAsync(hwpt)), "users with a second device");
        _context.AskOk(_driver, new DetachDeviceRequest(new ObjectId(second)));
        Expect.Equal((2L, 2L), (await UsersAsync(ioas), await UsersAsync(hwpt)), "users without the second device");
        _context.AskOk(_driver, new DetachDeviceRequest(new ObjectId(first)));
        Expect.Equal(1L, await UsersAsync(ioas), "users of the IOAS after its automatic HWPT has gone");
    }

    [Fact]
    public async Task A_driver_that_holds_by_name_counts_at_the_grain_until_it_drops_the_hold_or_is_gone()
    {
        var ioas = _context.AllocateIoas();
        var hold = _context.Ask(_driver, new HoldObjectRequest(new ObjectId(ioas), ObjectType.Ioas, "test")).Hold;
        _context.AskOk(_driver, new HoldObjectRequest(new ObjectId(ioas), ObjectType.Any, "again"));
        Expect.Equal(3L, await UsersAsync(ioas), "users of an IOAS that is held twice by name");
        _context.AskOk(_driver, new DropHoldRequest(hold));
        Expect.Equal(2L, await UsersAsync(ioas), "users after one was dropped");
        await Grains.Dispatch.ContextOperations.PutAsync(new IoctlScope(_context.Model, _context.ObjectGrains), _driver);
        Expect.Equal(1L, await UsersAsync(ioas), "users after the driver is gone");
    }

    [Fact]
    public async Task An_access_has_its_driver_while_it_is_attached()
    {
        var ioas = _context.AllocateIoas();
        var access = _context.AskOk(_driver, new CreateAccessRequest(NeedsPinPages: false));
        Expect.Equal(null, await UsersAsync(access.Value), "users of an access without an IOAS, by a grain");
        _context.AskOk(_driver, new AttachAccessRequest(access, new ObjectId(ioas)));
        Expect.Equal((2L, 2L), (await UsersAsync(access.Value), await UsersAsync(ioas)), "users of an access and of its IOAS");
    }

    [Fact]
    public async Task Counts_are_there_again_after_a_restore()
    {
        var ioas = _context.AllocateIoas();
        var hwpt = Attach(Bind("first"), ioas);
        Attach(Bind("second"), hwpt);
        _context.AskOk(_driver, new HoldObjectRequest(new ObjectId(hwpt), ObjectType.HwptPaging, "test"));
        var again = OpenContext.Restore(_context.Capture());
        GraphInvariants.CheckGrainUsers(again, "after a restore");
        Expect.Equal(4L, await again.ObjectGrains.UsersAsync(again.Objects.Find(hwpt)!), "users of a HWPT with two devices and a hold, after a restore");
    }

    [Fact]
    public void Destroy_of_an_object_whose_grain_counts_more_than_the_table_is_a_logged_EIO_and_the_object_stays()
    {
        var ioas = _context.AllocateIoas();
        var hwpt = Attach(Bind("device"), ioas);

        // The bug that is looked for: an edge is gone from the table, and what it stands for is not.
        var entry = _context.Objects.Find(ioas)!;
        entry.FirstHolder!.Drop();
        var diagnostic = Destroy(ioas).Fails(Errno.EIO, DiagnosticReason.UsersDisagree, "destroying an IOAS that has a domain which the table forgot");
        Expect.Equal((2UL, 1UL, entry.Ref), (diagnostic.Value, diagnostic.Limit, new ObjectRef(diagnostic.ObjectType, diagnostic.ObjectId)), "what the diagnostic says");
        Expect.Equal(entry, _context.Objects.Find(ioas), "the object");
        Expect.That(_context.ObjectGrains.HasLost, "The activation would stay, although its table or a grain is wrong.");
        Expect.That(
            _log.Exists(line => line.Contains($"IOAS {ioas}", StringComparison.OrdinalIgnoreCase) && line.Contains("users 1", StringComparison.Ordinal) && line.Contains("2 in its grain", StringComparison.Ordinal)),
            $"The log names no disagreement about IOAS {ioas}: {string.Join("; ", _log)}");
        Expect.That(_context.Objects.Find(hwpt) is not null, "The HWPT is gone.");
    }

    [Fact]
    public void Destroy_of_a_part_is_decided_by_its_aggregates_grain_too()
    {
        var device = Bind("device");
        var hwpt = _context.RunOk(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = device, PtId = _context.AllocateIoas() }).OutHwptId;
        Attach(device, hwpt);
        ((DeviceEntry)_context.Objects.Find(device)!).Detach(DeviceGroup.NoPasid);
        Destroy(hwpt).Fails(Errno.EIO, DiagnosticReason.UsersDisagree, "destroying a HWPT whose device the table forgot");
        Expect.That(_context.Objects.Find(hwpt) is not null, "The HWPT is gone.");
    }

    [Fact]
    public void Destroy_of_an_object_that_its_grain_lets_go_is_one_call()
    {
        var ioas = _context.AllocateIoas();
        _context.AskOk(_driver, new DropHoldRequest(_context.Ask(_driver, new HoldObjectRequest(new ObjectId(ioas), ObjectType.Ioas, "test")).Hold));
        var calls = _context.GrainOf(ioas).Calls;
        var before = calls.Count;
        Expect.Equal(Errno.None, Destroy(ioas).Errno, "destroying the IOAS");
        Expect.Sequence(["Destroy"], calls.Skip(before).Select(call => call.Call), "calls of its grain");
    }

    [Fact]
    public void Destroy_of_a_held_object_calls_no_grain()
    {
        var ioas = _context.AllocateIoas();
        _context.AskOk(_driver, new HoldObjectRequest(new ObjectId(ioas), ObjectType.Ioas, "test"));
        var before = _context.GrainOf(ioas).Calls.Count;
        Destroy(ioas).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "destroying the IOAS");
        Expect.Equal(before, _context.GrainOf(ioas).Calls.Count, "calls of its grain");
    }

    private async Task<long?> UsersAsync(uint id) => await _context.ObjectGrains.UsersAsync(_context.Objects.Find(id)!);

    private uint Bind(string name) => _context.Bind(_driver, name).Value;

    private uint Attach(uint device, uint pageTable) => _context.AskOk(_driver, new AttachDeviceRequest(new ObjectId(device), new ObjectId(pageTable))).Value;

    private IoctlReply Destroy(uint id) => _context.Run(IommuCommand.Destroy, new IommuDestroy { Id = id });

    private sealed class ListLogger(List<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            => lines.Add($"{logLevel} {formatter(state, exception)}");
    }
}
